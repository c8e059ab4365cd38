"""Subscriptions: create with a first invoice, update, cancel, list.

No renewals: a subscription here never bills a second period, because nothing in this project bills that way.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import collection, currencies, customer_balance, customers, finalising, invoice_endings, payment_methods
from .errors import StripeError, invalid
from .indexing import Body
from .invoice_objects import due_date, new_invoice
from .line_objects import new_line, with_lines
from .listing import Page, equals, page
from .routes import list_route, retrieving, route
from .store import Filter, new_id
from .subscription_objects import new_item, new_subscription
from .work import Work, merged_metadata

FINAL = frozenset({"canceled", "incomplete_expired"})
ITEMS_MAX = 20


def create(work: Work, params: Body) -> Body:
    """POST /v1/subscriptions: the first period is invoiced and, if charged automatically, paid at once."""
    customer = customers.live(work, params)
    wanted = params.get("items", [])
    if not 1 <= len(wanted) <= ITEMS_MAX:
        raise invalid("Missing required param: items.", code="parameter_missing", param="items")
    if params.get("default_payment_method"):
        payment_methods.attached(work, customer["id"], params["default_payment_method"], "default_payment_method")
    method = params.get("collection_method", "charge_automatically")
    subscription_id = new_id("sub")
    items = [new_item(work, subscription_id, fields, f"items[{index}]") for index, fields in enumerate(wanted)]
    currency = items[0]["price"]["currency"]
    if {item["price"]["currency"] for item in items} != {currencies.known(params.get("currency", currency))}:
        raise invalid("All prices on a subscription must have the same currency.", param="items")
    due_date(work, method, {"days_until_due": params["days_until_due"]} if "days_until_due" in params else {})
    body = new_subscription(work, subscription_id, customer, items, params)
    work.store.insert(body)
    behavior = params.get("payment_behavior", "allow_incomplete")
    body = _first_invoice(work, customer, body, behavior, params.get("off_session", False))
    work.announce("customer.subscription.created", body)
    return body


def _first_invoice(work: Work, customer: Body, subscription: Body, behavior: str, off_session: bool) -> Body:
    params = {
        "collection_method": subscription["collection_method"],
        "auto_advance": False,
        "default_payment_method": subscription["default_payment_method"],
    }
    if subscription["days_until_due"] is not None:
        params["days_until_due"] = subscription["days_until_due"]
    currency = subscription["currency"]
    invoice = new_invoice(work, customer, currency, params, customer_balance.of(customer, currency))
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    invoice |= {
        "billing_reason": "subscription_create",
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
    }
    lines = [_line(work, invoice, subscription, item) for item in subscription["items"]["data"]]
    for line in lines:
        work.store.insert(line, created=work.now)
    work.create(with_lines(invoice, lines), "invoice.created")
    if customer["currency"] is None:
        work.update(customer, customer | {"currency": currency}, "customer.updated")
    done = finalising.finalize(work, {}, invoice["id"])
    status = "active"
    if done["status"] == "open" and done["collection_method"] == "charge_automatically":
        status = "incomplete"
        if behavior != "default_incomplete":
            status = _pay_first(work, done, behavior, off_session)
    changed = subscription | {"latest_invoice": invoice["id"], "status": status}
    work.store.replace(changed)
    return changed


def _pay_first(work: Work, invoice: Body, behavior: str, off_session: bool) -> str:
    try:
        collection.attempt(work, invoice, None, off_session=off_session)
    except StripeError as refusal:
        if behavior == "error_if_incomplete" or not refusal.keep_effects:
            # the whole creation is undone: no subscription, no invoice
            refusal.keep_effects = False
            raise
        return "incomplete"
    return "active"


def _line(work: Work, invoice: Body, subscription: Body, item: Body) -> Body:
    price = item["price"]
    quantity = item["quantity"]
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": None,
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }
    fields: Body = {
        "pricing": {"price": price["id"]},
        "quantity_decimal": Decimal(quantity),
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
    }
    return new_line(work, invoice, fields, parent, "items") | {"subscription": subscription["id"]}


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/subscriptions: without a status all that are not canceled."""
    filters: list[Filter] = equals(params, customer="customer", collection_method="tag")
    status = params.get("status")
    if status is None:
        filters.append(("status NOT IN (?, ?)", tuple(sorted(FINAL))))
    elif status == "ended":
        filters.append(("status IN (?, ?)", tuple(sorted(FINAL))))
    elif status != "all":
        filters.append(("status = ?", status))
    return page(work, "subscription", params, "/v1/subscriptions", filters)


def update(work: Work, params: Body, subscription: str) -> Body:
    """POST /v1/subscriptions/:id. Changed items need `proration_behavior=none`."""
    before = work.store.get("subscription", subscription)
    if before["status"] in FINAL:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if "items" in params and params.get("proration_behavior") != "none":
        raise invalid("The Stripe emulator does not prorate: pass `proration_behavior=none`.", param="items")
    after = before | {"metadata": merged_metadata(before["metadata"], params.get("metadata"))}
    for name in ("cancel_at", "default_payment_method", "description"):
        if name in params:
            after[name] = params[name] or None
    if after["default_payment_method"] and "default_payment_method" in params:
        payment_methods.attached(work, before["customer"], after["default_payment_method"], "default_payment_method")
    for name in ("collection_method", "days_until_due"):
        if name in params:
            after[name] = params[name]
    if "cancel_at_period_end" in params:
        _schedule_end(work, after, params["cancel_at_period_end"])
    after["cancellation_details"] = before["cancellation_details"] | _details(params)
    if "items" in params:
        after["items"] = before["items"] | {"data": _changed_items(work, before, params["items"])}
    return work.update(before, after, "customer.subscription.updated")


def _schedule_end(work: Work, after: Body, at_period_end: bool) -> None:
    after["cancel_at_period_end"] = at_period_end
    after["canceled_at"] = work.now if at_period_end else None
    ends = max(item["current_period_end"] for item in after["items"]["data"])
    after["cancel_at"] = ends if at_period_end else None
    reason = "cancellation_requested" if at_period_end else None
    after["cancellation_details"] = after["cancellation_details"] | {"reason": reason}


def _details(params: Body) -> Body:
    return {name: value or None for name, value in params.get("cancellation_details", {}).items()}


def _changed_items(work: Work, subscription: Body, changes: list[Body]) -> list[Body]:
    items: dict[str, Body] = {item["id"]: item for item in subscription["items"]["data"]}
    for index, fields in enumerate(changes):
        path = f"items[{index}]"
        if "id" not in fields:
            added = new_item(work, subscription["id"], fields, path)
            items[added["id"]] = added
            continue
        if fields["id"] not in items:
            raise invalid(f"No such subscription item: '{fields['id']}'", code="resource_missing", param=f"{path}[id]")
        old = items.pop(fields["id"])
        if fields.get("deleted"):
            continue
        defaults: Body = {"price": old["price"]["id"], "quantity": old["quantity"]}
        fresh = new_item(work, subscription["id"], defaults | fields, path)
        fresh["metadata"] = merged_metadata(old["metadata"], fields.get("metadata"))
        kept = {name: old[name] for name in ("id", "created", "current_period_start", "current_period_end")}
        items[old["id"]] = fresh | kept
    if not items:
        raise invalid("A subscription must have at least one item.", param="items")
    return list(items.values())


def cancel(work: Work, params: Body, subscription: str) -> Body:
    """DELETE /v1/subscriptions/:id: ends now; drafts of the subscription are left as they are."""
    before = work.store.get("subscription", subscription)
    if before["status"] in FINAL:
        raise invalid(f"No such subscription: '{subscription}'", code="resource_missing", param="id")
    return end(work, before, "cancellation_requested", _details(params))


def end(work: Work, before: Body, reason: str, details: dict[str, Any] | None = None) -> Body:
    """The subscription is over; an open first invoice of an incomplete one is voided."""
    status = "incomplete_expired" if before["status"] == "incomplete" else "canceled"
    after = before | {
        "canceled_at": work.now,
        "cancellation_details": before["cancellation_details"] | {"reason": reason} | (details or {}),
        "ended_at": work.now,
        "status": status,
    }
    if status == "incomplete_expired" and before["latest_invoice"]:
        latest = work.store.get("invoice", before["latest_invoice"])
        if latest["status"] == "open":
            invoice_endings.void(work, {}, latest["id"])
    return work.update(before, after, "customer.subscription.deleted")


SUBSCRIPTION = (
    "cancel_at cancel_at_period_end collection_method days_until_due default_payment_method description "
    "metadata off_session payment_behavior items.price items.price_data items.quantity items.metadata"
)
ONE = "/v1/subscriptions/:subscription"
ROUTES = (
    route("POST", "/v1/subscriptions", "SubscriptionCreate", create, f"{SUBSCRIPTION} customer currency"),
    list_route("/v1/subscriptions", "SubscriptionList", list_all, "created customer status collection_method"),
    retrieving(ONE, "SubscriptionRetrieve", "subscription"),
    route(
        "POST",
        ONE,
        "SubscriptionUpdate",
        update,
        f"{SUBSCRIPTION} items.id items.deleted proration_behavior cancellation_details",
    ),
    route("DELETE", ONE, "SubscriptionCancel", cancel, "cancellation_details"),
)
