"""Events that are not of this account's test mode, as an endpoint of a platform gets them: signed like any other.

Functions of the control surface: they take the unit of work and the JSON fields, and return JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .config import API_VERSION
from .errors import invalid
from .indexing import Body
from .store import dumps, new_id
from .work import Work

KIND = "foreign_event"
"""Not `event`: the API of this account neither lists nor retrieves it."""


def send_foreign(work: Work, fields: Body) -> Body:
    """``{"account": "acct_other", "livemode": true}``, one of them at least: an event of another account or mode.

    ``type`` (invoice.paid) and ``object`` are what it is about; ``thin`` (false) sends the form of API v2, which names
    no object. Every enabled endpoint gets it. Returns the event.
    """
    account, livemode = fields.get("account"), fields.get("livemode", False)
    if not isinstance(livemode, bool) or not isinstance(account, str | None):
        raise invalid("`livemode` must be a boolean, `account` a text.")
    if account is None and not livemode:
        raise invalid("Give `account`, or `livemode` as true: other events come from what the API does.")
    type_ = str(fields.get("type", "invoice.paid"))
    about = fields.get("object", {"id": new_id("in"), "object": "invoice"})
    event = _thin(work, type_, account) if fields.get("thin") else _snapshot(work, type_, account, about)
    event["livemode"] = livemode
    work.store.insert_raw(event["id"], KIND, work.now, type_, dumps(event))
    for endpoint in work.store.find("webhook_endpoint", ("status = ?", "enabled")):
        work.deliver(event["id"], endpoint["id"])
    return event


def _snapshot(work: Work, type_: str, account: str | None, about: Any) -> Body:
    event: Body = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": work.now,
        "data": {"object": about},
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    }
    return event | ({"account": account} if account else {})


def _thin(work: Work, type_: str, account: str | None) -> Body:
    return {
        "id": new_id("evt"),
        "object": "v2.core.event",
        "context": account,
        "created": datetime.fromtimestamp(work.now, UTC).isoformat(),
        "type": type_ if type_.startswith("v") else f"v1.{type_}",
    }


ACTIONS = (("/events/foreign", send_foreign),)
