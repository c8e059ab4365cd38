"""The running month, paying, subscriptions, and the state of the whole."""

from datetime import date
from typing import Any, Literal

from pydantic import Field

from billing_pipeline.web.api.fields import MONTH_PATTERN, Amount, Asked, many, shown

Json = dict[str, Any]
Due = shown(
    "Due",
    "What a customer owes in one currency.",
    currency=(str, "ISO 4217, in lower case.", "usd"),
    invoices=(int, "Of so many invoices.", 1),
    remaining=(Amount, "Of them all.", None),
)
Summary = shown(
    "Summary",
    "Where a customer's billing stands.",
    customer_id=(str, "Who is billed.", "cust_focus"),
    due=(many(Due), "What is owed, by currency.", []),
    open_invoices=(list[Json], "Invoices on which something is due, the oldest first.", [{"number": "INV-00000001"}]),
    paid_invoices=(list[Json], "The newest that are paid, at most twelve.", [{"number": "INV-00000001"}]),
    running=(
        list[Json],
        "The running period as `billing estimate --json` has it: accrued by now, projected to its end.",
        [{"accrued": {"total": {"amount_minor": 101000, "currency": "usd", "display": "1,010.00 USD"}}}],
    ),
    next_invoice_on=(str | None, "The day after the running period; null: none runs.", "2026-11-01"),
)
Payment = shown(
    "Payment",
    "What became of a payment that was asked for.",
    number=(str, "The invoice.", "INV-00000001"),
    state=(str, "Where its charge is: paid, refused, or what it waits for.", "paid"),
    url=(str | None, "Stripe's page of the invoice, where it can be paid; null: not asked for.", None),
)
Subscription = shown(
    "Subscription",
    "A customer's contracts, and where its payment method is set.",
    contracts=(list[Json], "By first day.", [{"starts_on": "2026-10-01", "ends_on": None, "plan": "team"}]),
    payment_methods_url=(str | None, "A page of Stripe's; null: not asked for.", None),
)
Setup = shown(
    "Setup",
    "What somebody on call looks at first.",
    healthy=(bool, "Whether nothing below waits for a person.", True),
    version=(str, "Of this program.", "1.0"),
    migrations=(int, "Applied to the database.", 26),
    brakes=(list[str], "What stops charging now.", []),
    facts=(Json, "Counts and instants: usage, events, charges, differences, last activity.", {"events_dead": 0}),
    months=(list[Json], "Months that have ended and are not done.", []),
)
SetUp = shown(
    "SetUp",
    "What setting up did.",
    applied=(list[str], "Migrations, functions and views that were applied; empty: there was nothing to do.", []),
    books=(list[Json], "The price books that are loaded.", [{"currency": "usd", "name": "standard"}]),
)


class PaymentAsked(Asked):
    """A payment that is asked for."""

    invoice: str = Field(min_length=1, max_length=255, description="Number or id.", examples=["INV-00000001"])
    how: Literal["again", "page"] = Field(
        "again",
        description="again: the default payment method is tried once more; page: where the customer pays at Stripe.",
        examples=["page"],
    )


PortalLink = shown(
    "PortalLink",
    "A link into a customer's portal.",
    customer_id=(str, "The customer.", "cust_focus"),
    url=(str, "Where a browser enters; it works once.", "https://billing.example.com/portal/enter/0123456789"),
    minutes=(int, "So long it can be used.", 60),
)


class PortalLinkAsked(Asked):
    """A link into a customer's portal."""

    minutes: int = Field(60, ge=1, le=60, description="So long it can be used.", examples=[5])
    reason: str = Field(
        "asked for over the API", min_length=1, max_length=2000, description="Why.", examples=["opened billing"]
    )


class SubscriptionAsked(Asked):
    """A contract to begin, a payment method to set, or both."""

    customer: str | None = Field(
        None, min_length=1, max_length=255, description="A customer's token means its own.", examples=["cust_focus"]
    )
    plan: str | None = Field(
        None, max_length=255, description="A plan of the price book; left out: no contract begins.", examples=["team"]
    )
    on: date | None = Field(
        None, description="The contract's first day, or that of another plan; left out: today.", examples=["2026-11-01"]
    )
    return_url: str | None = Field(
        None,
        max_length=2000,
        pattern="^https?://",
        description="Asks for Stripe's page of payment methods, which leads back there.",
        examples=[None],
    )
    reason: str = Field(
        "asked for over the API", min_length=1, max_length=2000, description="Why.", examples=["signed up"]
    )


Run = shown(
    "Run",
    "A month's run that somebody started.",
    run_id=(str, "Dagster's id of it, or of its first run.", "6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"),
    month=(str, "The month.", "2026-10"),
    job=(
        str,
        "snapshot_month, bill_month, bill_customer, charge_month, or whole_month: bill_month, then charge_month.",
        "bill_month",
    ),
    customer_id=(str | None, "Whose drafts bill_customer builds; null: the run is of the whole month.", None),
    started_by=(str, "Who started it, and so does not approve it.", "support"),
    started_at=(str, "When it was asked for.", "2026-11-01T12:00:00.000000Z"),
    ended_at=(str | None, "When its process ended; null: it runs.", None),
    runs=(
        list[Json],
        "The newest runs of the month as Dagster has them: state, steps, and the reasons of one that failed.",
        [{"state": "success"}],
    ),
)
StartedRun = shown(
    "StartedRun",
    "A run that is under way, or that nothing was to be done.",
    run_id=(str | None, "Null: the month is billed and charged.", "6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"),
    month=(str | None, "The month.", "2026-10"),
    is_new=(bool, "False: it was under way already, or there is nothing to do.", True),
    started_by=(str | None, "Who started it.", "support"),
    url=(str | None, "Where its state is.", "/api/billing/runs/6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"),
)


class MonthAsked(Asked):
    """A month to measure or to draft."""

    month: str = Field(pattern=MONTH_PATTERN, description="The month.", examples=["2026-10"])
    reason: str = Field(
        "asked for over the API", min_length=1, max_length=2000, description="Why.", examples=["all usage has come"]
    )


class DraftsAsked(MonthAsked):
    """A month to draft."""

    customer: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="This one alone, whose month is drafted already; left out: all of the month's customers.",
        examples=[None],
    )


class BatchAsked(Asked):
    """The batch of a month that is due."""

    month: str | None = Field(
        None,
        pattern=MONTH_PATTERN,
        description="Left out: the oldest that has ended and is not done.",
        examples=["2026-10"],
    )
    reason: str = Field(
        "asked for over the API", min_length=1, max_length=2000, description="Why.", examples=["the schedule"]
    )
