"""Deleting a customer: what else ends with it."""

from __future__ import annotations

from . import subscriptions
from .indexing import Body
from .routes import route
from .work import Work


def delete(work: Work, params: Body, customer: str) -> Body:
    """DELETE /v1/customers/:id: cancels subscriptions, keeps finalised invoices, forgets cards."""
    del params
    before = work.store.get("customer", customer)
    for subscription in work.store.find("subscription", ("customer = ?", customer)):
        if subscription["status"] not in {"canceled", "incomplete_expired"}:
            subscriptions.end(work, subscription, "cancellation_requested")
    for method in work.store.find("payment_method", ("customer = ?", customer)):
        work.store.set_private(method["id"], work.store.private(method["id"]) | {"detached": True})
        work.update(method, method | {"customer": None}, "payment_method.detached")
    for draft in work.store.find("invoice", ("customer = ?", customer), ("status = ?", "draft")):
        work.store.delete(draft["id"])
        work.announce("invoice.deleted", draft)
    work.store.bury(before)
    work.announce("customer.deleted", before)
    return {"id": customer, "object": "customer", "deleted": True}


ROUTES = (route("DELETE", "/v1/customers/:customer", "CustomerDelete", delete),)
