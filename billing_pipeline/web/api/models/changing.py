"""What changes ask for, and what they answer."""

from datetime import date
from decimal import Decimal
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


class BounceAsked(Reasoned):
    """What a mail provider says of an address."""

    address: str = Field(
        min_length=3, max_length=254, description="The mail address that was mailed.", examples=["old@example.com"]
    )
    kind: Literal["bounce", "complaint"] = Field(
        description="bounce: it takes no mail, for good; complaint: whoever reads it called a mail unwanted.",
        examples=["bounce"],
    )


class AddressAsked(Reasoned):
    """A mail address."""

    address: str = Field(min_length=3, max_length=254, description="The address.", examples=["accounts@example.com"])


class FurtherAddressAsked(AddressAsked):
    """A further address of a customer."""

    kinds: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Only these kinds of notices; empty: all.",
        examples=[["payment_failed"]],
    )


class KindAsked(Reasoned):
    """A kind of notices."""

    kind: str = Field(max_length=64, description="The kind.", examples=["payment_succeeded"])


class HeldAsked(Reasoned):
    """Which notices: one of these."""

    notice: int | None = Field(None, ge=1, lt=10**18, description="One, by its number.", examples=[1])
    customer: str | None = Field(None, max_length=255, description="All of a customer.", examples=["cust_focus"])
    kind: str | None = Field(None, max_length=64, description="All of a kind.", examples=["payment_failed"])
    all: bool = Field(False, description="All notices.", examples=[False])


class PromiseAsked(Reasoned):
    """A promise to pay."""

    until: date = Field(description="Its last day, in the customer's zone.", examples=["2026-11-30"])


class EndpointAsked(Reasoned):
    """An address of the platform's."""

    url: str = Field(
        min_length=1, max_length=2000, description="Where messages are sent.", examples=["https://example.com/billing"]
    )


class ReplayAsked(Reasoned):
    """What is told again."""

    since: str = Field(max_length=40, description="All since this instant.", examples=["2026-11-01T00:00:00Z"])


class NewSecret(Shown):
    """An endpoint's secret, shown once."""

    endpoint_id: str = Field(description="Its id.", examples=["ep_0123456789abcdef"])
    secret: str = Field(description="What messages are signed with.", examples=["whsec_…"])


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


class TokenAsked(Reasoned):
    """A new token."""

    role: Literal["admin", "operator", "analyst", "platform", "customer"] = Field(
        description="What it may do.", examples=["operator"]
    )
    owner: str = Field(
        min_length=1, max_length=255, description="The author of what is changed with it.", examples=["support"]
    )
    customer: str | None = Field(
        None, max_length=255, description="For role customer: whose rows it sees.", examples=["cust_focus"]
    )
    scopes: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Only these, or some that may be granted; empty: those of the role.",
        examples=[["invoices:read"]],
    )
    expires_days: int | None = Field(
        None, ge=1, le=3650, description="It holds for so many days; left out: until it is revoked.", examples=[365]
    )


class Rotation(Reasoned):
    """How a token is replaced."""

    grace_hours: int = Field(0, ge=0, le=168, description="So long the old one goes on to hold.", examples=[24])


class NewToken(Shown):
    """A token, shown once."""

    token_id: str = Field(description="The part of it that may be told.", examples=["0123456789ab"])
    token: str = Field(description="What its holder sends as Bearer.", examples=["bil_0123456789ab_…"])


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


class BookAsked(Asked):
    """A price book to look at."""

    book: str = Field(
        min_length=1,
        max_length=1_000_000,
        description="The YAML of the file.",
        examples=["version: 1\nbooks: …"],
    )


class BookLoad(BookAsked, Reasoned):
    """A price book to load, after its difference was looked at."""

    name: str = Field(
        min_length=1, max_length=255, description="What the book is called in listings.", examples=["prices-2027.yaml"]
    )
    after: int = Field(
        ge=0,
        le=2**31,
        description="`after` of POST /prices/check: the load that the difference was taken from.",
        examples=[3],
    )
    replace: bool = Field(
        False, description="It may take away what `losses` of POST /prices/check names.", examples=[False]
    )


class LoadedBook(Shown):
    """What a load did."""

    in_use: int = Field(description="Prices that hold now.", examples=[120])
    added: int = Field(description="Of them new.", examples=[4])
    retired: int = Field(description="Prices that hold no more.", examples=[2])


class CheckedBook(Shown):
    """What a price book says, and what loading it would change."""

    valid: bool = Field(description="Whether it could be loaded.", examples=[True])
    problems: list[str] = Field(description="Every mistake, each with its path.", examples=[[]])
    words: list[str] = Field(description="What it charges, in words.", examples=[["api_calls: 0.015 each"]])
    changes: list[dict[str, Any]] = Field(
        description="Against the loaded one, as `billing prices load --json` has them.",
        examples=[[{"what": "price", "subject": "api_calls", "before": "0.015", "after": "0.02"}]],
    )
    losses: list[str] = Field(description="What it would take away, which needs `replace`.", examples=[[]])
    after: int = Field(description="The load that is in use now; 0: none.", examples=[3])


class CouponAsked(Reasoned):
    """A new coupon: either an amount or a percentage."""

    coupon: CouponCode
    currency: str = Field(pattern="^[a-z]{3}$", description="Of the invoices that it is for.", examples=["usd"])
    percent: Decimal | None = Field(None, gt=0, le=100, description="Share that it takes off.", examples=["10"])
    amount: Decimal | None = Field(
        None, gt=0, le=AMOUNT_MAX, description="What it takes off a full period, in whole units.", examples=["12.50"]
    )
    meters: list[str] = Field(
        default_factory=list, max_length=100, description="Only off these; empty: all.", examples=[["api_calls"]]
    )
    periods: int | None = Field(
        None, ge=1, le=10_000, description="Only so many invoices of each customer.", examples=[3]
    )
    customers: int | None = Field(None, ge=1, le=1_000_000, description="Only so many customers.", examples=[100])
    redeem_until: date | None = Field(None, description="Last day on which it is granted.", examples=["2026-12-31"])
    description: Description = None
