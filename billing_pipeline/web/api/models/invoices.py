"""Invoices as answers show them."""

from typing import Annotated, Any

from pydantic import Field

from billing_pipeline.web.api.fields import Amount, Currency, CustomerId, Day, MonthText, NextCursor, Shown

Row = dict[str, Any]


class Invoice(Shown):
    """An invoice, or a draft of one."""

    number: Annotated[str | None, Field(description="Null: a draft.", examples=["INV-00000001"])]
    invoice_id: Annotated[
        str, Field(description="Stays the same from draft on.", examples=["6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"])
    ]
    customer_id: CustomerId
    customer_name: Annotated[
        str | None, Field(description="Null for a token without the scope personal.", examples=["Focus GmbH"])
    ]
    month: MonthText
    period_from: Day
    period_to: Annotated[str, Field(description="Its last day.", examples=["2026-10-31"])]
    timezone: Annotated[str, Field(description="The customer's zone.", examples=["Europe/Berlin"])]
    supplement_no: Annotated[
        int, Field(description="0: the period's own; n: its n-th supplementary one.", examples=[0])
    ]
    revision: Annotated[int, Field(description="0: the first bill of the period.", examples=[0])]
    supersedes_invoice_id: Annotated[
        str | None, Field(description="The void invoice that it takes the place of.", examples=[None])
    ]
    total: Amount
    credited: Amount
    currency: Currency
    line_count: Annotated[int, Field(description="How many lines it has.", examples=[3])]
    status: Annotated[str, Field(description="draft, open, paid, void or uncollectible.", examples=["open"])]
    charge_state: Annotated[str | None, Field(description="Where its charge is.", examples=["paid"])]
    reason_code: Annotated[str | None, Field(description="Why it is there.", examples=["card_declined"])]
    reason: Annotated[
        str | None, Field(description="The same in words.", examples=["the card was declined: insufficient_funds"])
    ]
    stripe_invoice_id: Annotated[str | None, Field(description="At Stripe.", examples=["in_1"])]
    finalised_at: Annotated[
        str | None, Field(description="When; null: a draft.", examples=["2026-11-01T12:00:00.000000Z"])
    ]
    run_id: Annotated[str | None, Field(description="The run that drafted it.", examples=["0b6f3d6f"])]


class InvoicePage(Shown):
    """Invoices, and where the next ones are."""

    invoices: list[Invoice] = Field(description="The newest month first.")
    next_cursor: NextCursor


class InvoiceStory(Invoice):
    """An invoice with what belongs to it, as `billing invoices show --json` has it."""

    lines: Annotated[list[Row], Field(description="Its lines.", examples=[[{"line_no": 1, "quantity": "1000"}]])]
    payments: Annotated[list[Row], Field(description="As Stripe last showed them.", examples=[[]])]
    refunds: Annotated[list[Row], Field(description="As Stripe last showed them.", examples=[[]])]
    disputes: Annotated[list[Row], Field(description="What a bank takes back.", examples=[[]])]
    credit_notes: Annotated[list[Row], Field(description="Of this invoice.", examples=[[]])]
    history: Annotated[list[Row], Field(description="The audit log of it; empty for customers.", examples=[[]])]
    events: Annotated[list[Row], Field(description="Stripe's events about it; empty for customers.", examples=[[]])]
