"""What belongs to a customer at Stripe: its own facts, payment methods, subscriptions."""

import calendar
from datetime import date
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of
from billing_pipeline.stripe_gateway.rules.objects import CustomerFacts, PaymentMethod, Subscription
from billing_pipeline.stripe_gateway.values import id_or_none, instant, instant_or_none


class CustomerObjectCalls(StripeCalls):
    """Read customers, payment methods and subscriptions."""

    def retrieve_customer_facts(self, stripe_customer_id: str) -> CustomerFacts:
        """A customer as it is now; a deleted one is marked so."""
        return self.retrieve("customers", _customer, stripe_customer_id)

    def retrieve_payment_method(self, payment_method_id: str) -> PaymentMethod:
        """A payment method as it is now."""
        return self.retrieve("payment_methods", _method, payment_method_id)

    def retrieve_subscription(self, subscription_id: str) -> Subscription:
        """A subscription as it is now."""
        return self.retrieve("subscriptions", _subscription, subscription_id)


def _customer(body: dict[str, Any]) -> CustomerFacts:
    settings = body.get("invoice_settings") or {}
    return CustomerFacts(
        stripe_customer_id=body["id"],
        customer_id=(body.get("metadata") or {}).get("customer_id"),
        default_payment_method_id=id_or_none(settings.get("default_payment_method") or body.get("default_source")),
        delinquent=bool(body.get("delinquent")),
        status="deleted" if body.get("deleted") else "live",
    )


def _method(body: dict[str, Any]) -> PaymentMethod:
    card = body.get("card") or {}
    return PaymentMethod(
        payment_method_id=body["id"],
        stripe_customer_id=id_or_none(body["customer"]),
        type=body["type"],
        brand=card.get("brand"),
        last4=card.get("last4"),
        expires_on=_last_day(card["exp_year"], card["exp_month"]) if card else None,
        created_at=instant(body["created"]),
    )


def _last_day(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


def _subscription(body: dict[str, Any]) -> Subscription:
    return Subscription(
        subscription_id=body["id"],
        stripe_customer_id=id_of(body["customer"]),
        status=body["status"],
        cancel_at=instant_or_none(body.get("cancel_at")),
        canceled_at=instant_or_none(body.get("canceled_at")),
        ended_at=instant_or_none(body.get("ended_at")),
        created_at=instant(body["created"]),
    )
