"""The shapes of subscriptions and their items. What happens to them is decided in `subscriptions`."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

from . import catalog
from .errors import invalid
from .indexing import Body
from .listing import sublist
from .store import new_id
from .work import Work, merged_metadata, text_or_none


def new_subscription(work: Work, subscription_id: str, customer: Body, items: list[Body], params: Body) -> Body:
    """An active subscription that has not been invoiced yet."""
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": work.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": params.get("cancel_at") or None,
        "cancel_at_period_end": params.get("cancel_at_period_end", False),
        "canceled_at": None,
        "cancellation_details": {
            "comment": None, "feedback": None, "feedback_option": None, "reason": None
        },
        "collection_method": params.get("collection_method", "charge_automatically"),
        "created": work.now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": params.get("days_until_due"),
        "default_payment_method": params.get("default_payment_method") or None,
        "default_source": None,
        "default_tax_rates": [],
        "description": text_or_none(params, "description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None, "custom_fields": None, "description": None, "footer": None,
            "issuer": {"type": "self"},
        },
        "items": sublist(items, f"/v1/subscription_items?subscription={subscription_id}"),
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": merged_metadata(None, params.get("metadata")),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": work.now,
        "status": "active",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {
            "end_behavior": {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}
        },
        "trial_start": None,
    }  # fmt: skip


def new_item(work: Work, subscription: str, fields: Body, path: str) -> Body:
    """A subscription item, with the plan that Stripe still shows beside its price."""
    if "price" in fields:
        price = work.store.get("price", fields["price"], f"{path}[price]")
    elif "price_data" in fields:
        price = catalog.create_price(work, fields["price_data"])
    else:
        raise invalid("Missing required param.", code="parameter_missing", param=f"{path}[price]")
    recurring = price["recurring"]
    if recurring is None:
        raise invalid("The price specified is set to `type=one_time`; subscriptions need recurring prices.", param=path)
    plan = {name: price[name] for name in ("id", "active", "billing_scheme", "created", "currency", "livemode")}
    plan |= {
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": work.now,
        "current_trial": None,
        "current_period_end": _period_end(work.now, recurring["interval"], recurring["interval_count"]),
        "current_period_start": work.now,
        "discounts": [],
        "metadata": merged_metadata(None, fields.get("metadata")),
        "plan": plan,
        "price": price,
        "quantity": fields.get("quantity", 1),
        "subscription": subscription,
        "tax_rates": [],
    }


def _period_end(start: int, interval: str, count: int) -> int:
    days = {"day": 1, "week": 7}.get(interval)
    if days:
        return start + days * count * 86_400
    begin = datetime.fromtimestamp(start, UTC)
    month = begin.month - 1 + count * (12 if interval == "year" else 1)
    year, month = begin.year + month // 12, month % 12 + 1
    day = min(begin.day, calendar.monthrange(year, month)[1])
    return int(begin.replace(year=year, month=month, day=day).timestamp())
