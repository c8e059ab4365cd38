"""What a request about a customer says: details, contract, credits, coupons, budgets."""

from datetime import date
from typing import Literal

from pydantic import Field

from billing_pipeline.web.api.fields import Asked, CustomerId, Reason
from billing_pipeline.web.api.models.changing import CouponCode, Description, MinorAmount, On, Plan, Reasoned


class ContractChange(Reasoned):
    """A change of a contract."""

    action: Literal["start", "trial", "end", "plan", "pause", "resume", "withdraw"] = Field(
        description="start: billed from this day on; trial: another last day of its trial; end: this is the last day;"
        " plan: another plan from this day on; pause, resume: billed nothing, or again, from this day on; withdraw:"
        " takes back what was to begin then.",
        examples=["plan"],
    )
    on: On
    plan: Plan = None
    trial_until: date | None = Field(
        None,
        description="Last day of the trial; left out: of start as the plan says, of trial there is none.",
        examples=["2026-11-30"],
    )


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


class BudgetAsked(Asked):
    """Of how much of a running period the customer wants to be told."""

    meter: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The meter whose quantity is watched; left out: what the invoice comes to so far.",
        examples=["calls"],
    )
    amount_minor: MinorAmount | None = Field(
        None, description="The amount that is 100 percent; of a budget without a meter.", examples=[10000]
    )
    quantity: str | None = Field(
        None, max_length=64, description="The quantity that is 100 percent; of a meter.", examples=["10000"]
    )
    thresholds_percent: list[int] = Field(
        [50, 80, 100], max_length=100, description="Shares that are told, each once a period.", examples=[[50, 80, 100]]
    )
    reason: Reason = "asked for over the API"


class RelinkAsked(Reasoned):
    """Another customer at Stripe."""

    to: str | None = Field(
        None,
        pattern="^cus_[A-Za-z0-9_]{1,250}$",
        description="One that is at Stripe; left out: one with our key, or a new one.",
        examples=["cus_NffrFeUfNV2Hib"],
    )


class CustomerValues(Asked):
    """Columns of the customers file, by the same rules; null or left out: as it is, or blank."""

    name: str | None = Field(None, max_length=256, description="On invoices.", examples=["Focus GmbH"])
    email: str | None = Field(None, max_length=512, description="Where mail goes.", examples=["billing@focus.example"])
    currency: str | None = Field(None, max_length=3, description="What it is billed in.", examples=["usd"])
    timezone: str | None = Field(None, max_length=64, description="Of the IANA database.", examples=["Europe/Berlin"])
    billing_cycle: str | None = Field(
        None, max_length=40, description="How long periods are.", examples=["calendar_month"]
    )
    cycle_anchor: str | None = Field(
        None, max_length=10, description="The day that periods are counted from.", examples=["2026-10-15"]
    )
    stripe_customer_id: str | None = Field(None, max_length=255, description="At Stripe.", examples=["cus_1"])
    language: str | None = Field(None, max_length=40, description="As BCP 47 names it.", examples=["de"])
    payment_terms_days: int | None = Field(
        None, ge=0, le=365, description="Days until an invoice is due.", examples=[14]
    )
    address_line1: str | None = Field(None, max_length=256, description="Address.", examples=["Hauptstr. 1"])
    address_line2: str | None = Field(None, max_length=256, description="Address.", examples=[None])
    postal_code: str | None = Field(None, max_length=256, description="Address.", examples=["10115"])
    city: str | None = Field(None, max_length=256, description="Address.", examples=["Berlin"])
    state: str | None = Field(None, max_length=256, description="Address.", examples=[None])
    country: str | None = Field(None, max_length=2, description="Address, as ISO 3166.", examples=["DE"])
    tax_id: str | None = Field(None, max_length=256, description="VAT number or the like.", examples=["DE811907980"])


class CustomerAsked(CustomerValues):
    """A new customer: name, email, currency and timezone are needed."""

    customer_id: CustomerId
    starts_on: str | None = Field(
        None, max_length=10, description="First billed day; left out: by its usage.", examples=["2026-10-01"]
    )
    ends_on: str | None = Field(None, max_length=10, description="Last billed day.", examples=[None])
    plan: Plan = None
    reason: Reason


class CustomerChange(CustomerValues):
    """Other values of a customer."""

    reason: Reason
