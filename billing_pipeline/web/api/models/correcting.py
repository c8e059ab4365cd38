"""What a request says that corrects: voids, credit notes, adjustments, one-off invoices, settlements, repayments."""

from typing import Literal

from pydantic import Field

from billing_pipeline.web.api.fields import Asked, CustomerId
from billing_pipeline.web.api.models.changing import AMOUNT_MAX, Description, MinorAmount, Reasoned


class SettlementPolicyAsked(Asked):
    """What is done about the drift of a book's customers, or of one customer."""

    book: str | None = Field(None, pattern="^[a-z]{3}$", description="The price book of a currency.", examples=["usd"])
    customer: str | None = Field(
        None, max_length=255, description="Or a customer, which comes before its book.", examples=["cust_focus"]
    )
    method: Literal["ignore", "next_invoice", "at_once"] = Field(
        description="at_once: a credit note, or a supplementary invoice.", examples=["next_invoice"]
    )
    pay_back: Literal["refund", "balance"] = Field("refund", description="Where paid money goes.", examples=["refund"])
    threshold_minor: int = Field(1, ge=0, le=AMOUNT_MAX, description="Smaller differences are left.", examples=[1])
    two_people_above_minor: int = Field(
        100000, ge=0, le=AMOUNT_MAX, description="Above this, two people approve.", examples=[100000]
    )


class InvoiceChange(Reasoned):
    """What is done to an invoice."""

    action: Literal["void", "void_and_rebill", "hold", "release", "mark_uncollectible"] = Field(
        description="void: its period is not billed again; void_and_rebill: it is, with its month's next run;"
        " hold: it is kept from being finalised and charged; release: no longer; mark_uncollectible: what is still owed"
        " is given up, and may still be paid or voided.",
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
    """An amount that a customer is billed beside usage."""

    customer: CustomerId
    method: Literal["at_once", "next_invoice"] = Field(
        "at_once",
        description="at_once: an invoice of its own, over more than 0; next_invoice: a line of the next one.",
        examples=["at_once"],
    )


class AdoptionAsked(Reasoned):
    """The invoice at Stripe that is the charge's."""

    stripe_invoice_id: str = Field(
        pattern="^in_[A-Za-z0-9_]{1,250}$", description="Its id there.", examples=["in_1MtHbELkdIwHu7ixl4OzzPMv"]
    )


class RepaymentAsked(Reasoned):
    """Where the money of a refund that failed goes."""

    to: Literal["balance", "card", "elsewhere"] = Field(
        description="The customer's balance at Stripe, the same card once more, or paid outside Stripe.",
        examples=["balance"],
    )


class Approval(Asked):
    """What was looked at."""

    rows: str = Field(
        min_length=1,
        max_length=2000,
        description="The versions of the month's rows, as GET /months/{month}/drafts shows them.",
        examples=["12.7.3"],
    )
