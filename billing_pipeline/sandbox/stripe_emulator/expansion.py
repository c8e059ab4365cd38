"""``expand``: replacing ids by objects and adding the fields that Stripe only sends when asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .errors import invalid, missing
from .indexing import Body
from .listing import sublist
from .work import Work

LEVELS_MAX = 4
PREFIXES = {
    "cus": "customer", "in": "invoice", "pm": "payment_method", "pi": "payment_intent", "ch": "charge", "py": "charge",
    "sub": "subscription", "price": "price", "prod": "product", "re": "refund", "cn": "credit_note",
    "du": "dispute", "seti": "setup_intent", "cbtxn": "customer_balance_transaction",
}  # fmt: skip


def _objects(work: Work, kind: str, column: str, owner: str, url: str) -> Body:
    found = work.store.find(kind, (f"{column} = ?", owner), newest_first=True)
    return sublist(found[:10], url, has_more=len(found) > 10)


INCLUDABLE: dict[tuple[str, str], Callable[[Work, Body], Any]] = {
    ("invoice", "payments"): lambda w, b: _objects(w, "invoice_payment", "parent", b["id"], "/v1/invoice_payments"),
    ("invoice", "confirmation_secret"): lambda w, b: _confirmation_secret(w, b),
    ("charge", "refunds"): lambda w, b: _objects(w, "refund", "parent", b["id"], f"/v1/charges/{b['id']}/refunds"),
    ("customer", "subscriptions"): lambda w, b: _objects(w, "subscription", "customer", b["id"], "/v1/subscriptions"),
    ("customer", "invoice_credit_balance"): lambda _, b: b.get("invoice_credit_balance") or {},
}


def _confirmation_secret(work: Work, invoice: Body) -> Body | None:
    payments = work.store.find("invoice_payment", ("parent = ?", invoice["id"]), newest_first=True)
    if not payments:
        return None
    intent = work.store.get("payment_intent", payments[0]["payment"]["payment_intent"])
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def expand(work: Work, body: Any, paths: list[str]) -> Any:
    """The answer with every path expanded; a path that can't be is a 400, as at Stripe."""
    for path in paths:
        parts = path.split(".")
        if len([part for part in parts if part != "data"]) > LEVELS_MAX:
            raise invalid(f"You cannot expand more than {LEVELS_MAX} levels of a property.", param="expand")
        _expand(work, body, parts)
    return body


def _expand(work: Work, body: Any, parts: list[str]) -> None:
    if not isinstance(body, dict) or not parts:
        return
    head, rest = parts[0], parts[1:]
    if body.get("deleted"):
        return
    if body.get("object") == "list" and head == "data":
        for item in body["data"]:
            _expand(work, item, rest)
        return
    include = INCLUDABLE.get((body.get("object", ""), head))
    if include is not None and not isinstance(body.get(head), dict):
        body[head] = include(work, body)
    if head not in body:
        raise invalid(f"This property cannot be expanded ({head}).", param="expand")
    value = body[head]
    if isinstance(value, str):
        body[head] = _load(work, value, head)
    elif isinstance(value, list):
        body[head] = [_load(work, item, head) if isinstance(item, str) else item for item in value]
        for item in body[head]:
            _expand(work, item, rest)
    elif value is not None and not isinstance(value, dict):
        raise invalid(f"This property cannot be expanded ({head}).", param="expand")
    _expand(work, body[head], rest)


def _load(work: Work, object_id: str, head: str) -> Body:
    kind = PREFIXES.get(object_id.partition("_")[0])
    if kind is None:
        raise invalid(f"This property cannot be expanded ({head}).", param="expand")
    row = work.connection.execute("SELECT body FROM objects WHERE id = ?", (object_id,)).fetchone()
    if row is None:
        raise missing(kind, object_id, "expand")
    body: Body = json.loads(row[0])
    return body
