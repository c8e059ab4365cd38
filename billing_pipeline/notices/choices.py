"""Which kinds of notices are mailed: switched off and on, ended by the link of a mail; and all choices that hold."""

import re
from contextlib import suppress
from typing import Any

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.notice_kinds import KINDS, OPTIONAL
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.choice_rows import change_choice
from billing_pipeline.notices.letters import Notice
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

_KEY = re.compile(r"notice-(\d{1,18})-[0-9a-f]{16}")


def switch_off(warehouse: Warehouse, kind: str, customer_id: str | None, signature: Signature) -> None:
    """Mail this kind to nobody, or not to one customer. The platform's endpoints hear of it all the same.

    Raises:
        UserError: the kind is due by law or contract, or is off already, or there is no such customer.
    """
    if kind not in OPTIONAL:
        raise UserError(f'kind "{kind}": expected one that is not due anyway: {", ".join(sorted(OPTIONAL))}')
    if customer_id is not None:
        read_customer(warehouse, customer_id)
    change_choice(warehouse, _OFF, f"{kind}: off already", signature, kind=kind, customer=customer_id, email=None)


def switch_on(
    warehouse: Warehouse, kind: str, customer_id: str | None, signature: Signature, *, email: str | None = None
) -> int:
    """Mail this kind again: to everybody, or to a customer and its addresses that unsubscribed. How many that ends.

    `email`: to this one alone of the addresses, and not to the others that unsubscribed.

    Raises:
        UserError: it is not off.
    """
    found = change_choice(warehouse, _ON, "", signature, kind=kind, customer=customer_id, email=email)
    if not found:
        raise UserError(f"{kind}: not off")
    return len(found)


def unsubscribe(warehouse: Warehouse, key: str) -> tuple[str, str]:
    """Whoever has a mail ends mails of its kind to its address; doing it again changes nothing. Returns kind, address.

    Raises:
        NotFound: no mail that may be ended has this key.
    """
    kind, customer_id, email = unsubscribable(warehouse, key)
    signature = Signature(f"customer {customer_id}", "unsubscribed by the link of a mail")
    with suppress(UserError):  # it is off already
        change_choice(warehouse, _OFF, "off already", signature, kind=kind, customer=customer_id, email=email)
    return kind, email


def unsubscribable(warehouse: Warehouse, key: str) -> tuple[str, str, str]:
    """Kind, customer and address of the mail with this key.

    Raises:
        NotFound: there is none, or its kind is due.
    """
    match = _KEY.fullmatch(key)
    rows = warehouse.rows(load_sql("notices/notice_of_key.sql"), notice_id=int(match[1])) if match else []
    for row in rows:
        if row["kind"] in OPTIONAL and Notice(**row).key == key:
            return row["kind"], row["customer_id"], row["recipient"]
    raise NotFound("this link ends no mails")


def list_choices(warehouse: Warehouse, customer_id: str | None = None) -> list[dict[str, Any]]:
    """What holds now: what (address, off, book, hours, bounced), customer_id, email, kinds, author, reason, since."""
    return warehouse.rows(load_sql("notices/list_choices.sql"), customer_id=customer_id)


def choosable_kinds(warehouse: Warehouse, customer_id: str) -> dict[str, bool]:
    """The kinds that a customer may switch off, and whether they are mailed to its own address.

    What nobody is mailed is no choice of one customer's, and not among them.
    """
    rows = warehouse.rows(_CHOOSABLE, customer=customer_id, kinds=sorted(OPTIONAL, key=KINDS.index))
    return {row["kind"]: row["is_mailed"] for row in rows}


_CHOOSABLE = """
SELECT k.kind, billing.is_mailed(k.kind, c.customer_id, c.email) AS is_mailed
FROM billing.customers AS c CROSS JOIN unnest(CAST(:kinds AS text[])) WITH ORDINALITY AS k (kind, place)
WHERE c.customer_id = :customer AND NOT billing.is_off_by_book(k.kind, c.customer_id) AND NOT EXISTS (
    SELECT FROM billing.notices_off AS o
    WHERE o.kind = k.kind AND o.customer_id IS NULL AND o.email IS NULL AND o.released_at IS NULL
)
ORDER BY k.place
"""
_OFF = """
WITH done AS (
    INSERT INTO billing.notices_off (kind, customer_id, email, author, reason)
    VALUES (:kind, :customer, :email, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'notice.off', 'notice', kind, reason, state_after => jsonb_build_object('customer_id', customer_id)
) FROM done
"""
_ON = """
WITH done AS (
    UPDATE billing.notices_off
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE kind = :kind AND customer_id IS NOT DISTINCT FROM CAST(:customer AS text) AND released_at IS NULL
        AND (email IS NULL OR lower(email) = lower(coalesce(CAST(:email AS text), email)))
    RETURNING *
)
SELECT billing.log_action(
    released_by, 'notice.on', 'notice', kind, release_reason,
    state_after => jsonb_build_object('customer_id', customer_id)
) FROM done
"""
