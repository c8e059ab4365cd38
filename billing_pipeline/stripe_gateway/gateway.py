"""Stripe over HTTP: the only place that imports its SDK. Plain values in and out, one exception.

Nothing is decided here but one thing: a call that Stripe did not execute (429) is sent again after a while.
"""

from billing_pipeline.settings import EMULATOR_KEY, Settings, SettingsError
from billing_pipeline.stripe_gateway.calls import RETRIES_MAX
from billing_pipeline.stripe_gateway.credit_notes import CreditNoteCalls
from billing_pipeline.stripe_gateway.customer_objects import CustomerObjectCalls
from billing_pipeline.stripe_gateway.customers import CustomerCalls
from billing_pipeline.stripe_gateway.events import EventCalls
from billing_pipeline.stripe_gateway.hosted_pages import HostedPageCalls
from billing_pipeline.stripe_gateway.invoices import InvoiceCalls
from billing_pipeline.stripe_gateway.limits import shared_limits
from billing_pipeline.stripe_gateway.payments import PaymentCalls
from billing_pipeline.stripe_gateway.refunds import RefundCalls
from billing_pipeline.stripe_gateway.repayments import RepaymentCalls

__all__ = ["RETRIES_MAX", "StripeGateway", "open_gateway"]


class StripeGateway(
    CreditNoteCalls,
    CustomerCalls,
    CustomerObjectCalls,
    EventCalls,
    HostedPageCalls,
    InvoiceCalls,
    PaymentCalls,
    RefundCalls,
    RepaymentCalls,
):
    """Stripe, or the emulator, with every operation that we use."""


def open_gateway(settings: Settings, emulator_base: str | None = None) -> StripeGateway:
    """The gateway that the environment asks for; `emulator_base` is where the emulator is, if one runs.

    Raises:
        SettingsError: there is neither a key nor an address of an emulator.
    """
    base = settings.stripe.api_base or (emulator_base if settings.stripe.uses_emulator else None)
    if settings.stripe.uses_emulator and base is None:
        raise SettingsError(
            "neither STRIPE_SECRET_KEY nor STRIPE_API_BASE is set: set your account's key, or run `billing emulator`"
            " and set STRIPE_API_BASE to the address that it prints"
        )
    limits = shared_limits(settings.stripe.calls_per_second, settings.stripe.calls_per_second_per_endpoint)
    return StripeGateway(settings.stripe.key or EMULATOR_KEY, base, limits=limits)
