"""What changes ask for, and what they answer."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from billing_pipeline.web.api.fields import Asked, CustomerId, Reason, Shown

AMOUNT_MAX = 10**15
MinorAmount = Annotated[
    int,
    Field(gt=0, le=AMOUNT_MAX, description="In minor units of the currency that is billed in.", examples=[1250]),
]
On = Annotated[date, Field(description="The day in the customer's zone.", examples=["2026-10-20"])]
Description = Annotated[
    str | None, Field(max_length=500, description="What the customer reads.", examples=["Set-up in October"])
]
Plan = Annotated[str | None, Field(max_length=255, description="Plan of the price book.", examples=["team"])]
CouponCode = Annotated[str, Field(min_length=1, max_length=255, description="Its code.", examples=["WELCOME"])]


class Done(Shown):
    """What was done."""

    done: str = Field(description="In words, as the console says it.", examples=["Charging goes on with the next run."])
    result: dict[str, Any] = Field(
        description="The same as facts, in the shape of the commands' --json.", examples=[{"charges_enabled": True}]
    )


class Nothing(Asked):
    """Nothing is asked."""


class Reasoned(Asked):
    """Why it is done."""

    reason: Reason


class InvoiceChange(Reasoned):
    """What is done to an invoice."""

    action: Literal["void", "void_and_rebill", "hold", "release"] = Field(
        description="void: its period is not billed again; void_and_rebill: it is, with its month's next run;"
        " hold: it is kept from being finalised and charged; release: no longer.",
        examples=["void_and_rebill"],
    )


class AmountLeft(Reasoned):
    """How much."""

    amount_minor: MinorAmount | None = Field(
        None, description="In minor units of the invoice's currency; left out: all that is left.", examples=[1250]
    )


class CreditNoteAsked(AmountLeft):
    """What is taken back of an invoice."""

    to: Literal["refund", "balance", "elsewhere"] = Field(
        "refund",
        description="Where paid money goes: back to the card, to the customer's balance, or back outside Stripe.",
        examples=["refund"],
    )


class AdjustmentAsked(Reasoned):
    """An amount on the next invoice."""

    amount_minor: int = Field(
        ge=-AMOUNT_MAX,
        le=AMOUNT_MAX,
        description="In minor units of the customer's currency; below zero: a credit.",
        examples=[-1250],
    )
    description: Description = None


class InvoiceAsked(AdjustmentAsked):
    """An amount that a customer is billed beside usage: on the next invoice."""

    customer: CustomerId


class ContractChange(Reasoned):
    """A change of a contract."""

    action: Literal["start", "end", "plan", "pause", "resume", "withdraw"] = Field(
        description="start: billed from this day on; end: this is the last day; plan: another plan from this day on;"
        " pause, resume: billed nothing, or again, from this day on; withdraw: takes back what was to begin then.",
        examples=["plan"],
    )
    on: On
    plan: Plan = None


class CreditsAsked(Reasoned):
    """Prepaid credits."""

    amount_minor: MinorAmount
    kind: Literal["paid", "promotional"] = Field(
        "paid", description="Whether the customer paid for it, or it is a gift.", examples=["paid"]
    )
    priority: int = Field(100, ge=-32768, le=32767, description="The lower is drawn first.", examples=[100])
    expires_on: date | None = Field(None, description="Last day on which an invoice draws it.", examples=["2027-10-31"])
    description: Description = None


class CouponGrantAsked(Reasoned):
    """A coupon for a customer."""

    coupon: CouponCode
    from_on: date | None = Field(
        None, description="First day of the periods that it reduces; left out: today in UTC.", examples=["2026-10-01"]
    )
    until_on: date | None = Field(None, description="The last such day.", examples=["2027-09-30"])


class CouponEnd(Reasoned):
    """The end of a coupon of a customer."""

    coupon: CouponCode
    on: On


class RelinkAsked(Reasoned):
    """Another customer at Stripe."""

    to: str | None = Field(
        None,
        pattern="^cus_[A-Za-z0-9_]{1,250}$",
        description="One that is at Stripe; left out: one with our key, or a new one.",
        examples=["cus_NffrFeUfNV2Hib"],
    )


class Approval(Asked):
    """What was looked at."""

    rows: str = Field(
        min_length=1,
        max_length=2000,
        description="The versions of the month's rows, as GET /months/{month}/drafts shows them.",
        examples=["12.7.3"],
    )
