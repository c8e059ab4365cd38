"""What reads show, beside invoices: a table a kind of row."""

from typing import Any

from billing_pipeline.web.api.fields import Amount, listed, many, shown

TIME = "2026-11-01T12:00:00.000000Z"
ID = "6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"
Json = dict[str, Any]

LogEntry = shown(
    "LogEntry",
    "Who did what to which object.",
    log_id=(int, "Order of writing.", 4711),
    logged_at=(str, "When.", TIME),
    actor=(str, "A person, or the program that acted.", "ann"),
    run_id=(str | None, "The run, if one acted.", None),
    action=(str, "What was done, as object.verb.", "invoice.finalise"),
    object_type=(str, "Kind of the object.", "invoice"),
    object_id=(str, "Its key.", ID),
    reason=(str | None, "Why.", "billed twice"),
    state_before=(Json | list[Json] | None, "The object before; amounts are plain minor units.", None),
    state_after=(Json | list[Json] | None, "The object after, or the evidence.", None),
)
LogPage = listed("LogPage", "log", LogEntry)

Contract = shown(
    "Contract",
    "From when until when a customer is billed.",
    starts_on=(str, "First billed day, in the customer's zone.", "2026-01-01"),
    ends_on=(str | None, "Last billed day; null: it runs on.", None),
    plan=(str | None, "Plan of the price book.", None),
    start_inferred=(bool, "Whether nobody said when it starts.", False),
    in_trial=(bool, "Whether these are days of its trial.", False),
)
_CUSTOMER: dict[str, tuple[Any, str, Any]] = {
    "customer_id": (str, "The platform's id.", "cust_focus"),
    "name": (str | None, "Null for a token without the scope personal.", "Focus GmbH"),
    "email": (str | None, "Null for a token without the scope personal.", "billing@focus.example"),
    "currency": (str, "What it is billed in.", "usd"),
    "timezone": (str, "Its zone.", "Europe/Berlin"),
    "billing_cycle": (str, "How long its periods are.", "calendar_month"),
    "cycle_anchor": (str | None, "The day that periods are counted from.", None),
    "stripe_customer_id": (str | None, "At Stripe; null for a token without the scope personal.", "cus_1"),
    "status": (str, "active, on_hold or inactive.", "active"),
    "standing": (
        str,
        "current, past_due, in_grace, suspended or resumed: suspending is the platform's job.",
        "current",
    ),
    "standing_since": (str | None, "Since when; null where it never stood elsewhere.", None),
    "imported_at": (str, "When it came.", TIME),
}
Customer = shown("Customer", "Who is billed.", **_CUSTOMER)
CustomerPage = listed("CustomerPage", "customers", Customer)
CustomerWithContracts = shown(
    "CustomerWithContracts",
    "A customer and its contracts.",
    **_CUSTOMER,
    contracts=(many(Contract), "By first day.", []),
)
Contracts = shown("Contracts", "A customer's contracts.", contracts=(many(Contract), "By first day.", []))

Quantity = shown(
    "Quantity",
    "What a period measured.",
    customer_id=(str, "Whose usage.", "cust_focus"),
    month=(str, "The month that bills it.", "2026-10"),
    period_from=(str, "The period's first day.", "2026-10-01"),
    period_to=(str, "Its last day.", "2026-10-31"),
    meter=(str, "The meter.", "api_calls"),
    dimensions=(Json, "The dimension values.", {"region": "eu"}),
    quantity=(str, "Under the meter's aggregation, in its unit.", "1000"),
    event_count=(int, "Events of the period that it was made of.", 12),
    aggregation=(str | None, "How the meter counts.", "sum"),
    basis=(str, "measured, carried_forward or corrected.", "measured"),
    as_of=(str, "Events received until then were counted.", TIME),
)
QuantityPage = shown(
    "QuantityPage",
    "Quantities, and where the next ones are.",
    usage=(many(Quantity), "The rows.", []),
    estimates=(list[Json] | None, "As `billing estimate --by-day --json` has them; null: not asked for.", None),
    next_cursor=(str | None, "Where the next page begins; null: this is the last.", None),
)

Charge = shown(
    "Charge",
    "What became of a charge.",
    number=(str, "Its invoice.", "INV-00000001"),
    customer_id=(str, "Who pays.", "cust_focus"),
    month=(str, "The month billed.", "2026-10"),
    amount=(Amount, "What is charged.", None),
    currency=(str, "ISO 4217, in lower case.", "usd"),
    state=(str, "Where it is.", "paid"),
    attempt=(int, "How often it was tried.", 1),
    reason_code=(str | None, "Why it is refused or parked.", "card_declined"),
    updated_at=(str, "When it moved.", TIME),
    outcome_unknown_since=(str | None, "Since when a call's outcome is unknown.", None),
    stripe_invoice_id=(str | None, "At Stripe.", "in_1"),
    due_at=(str | None, "When it is looked at next.", None),
)
ChargePage = listed("ChargePage", "charges", Charge)

StripeEvent = shown(
    "StripeEvent",
    "An event of Stripe's.",
    event_id=(str, "Stripe's id.", "evt_1"),
    type=(str, "Its type.", "invoice.paid"),
    object_id=(str | None, "What it is about.", "in_1"),
    created=(str | None, "When Stripe made it.", TIME),
    received_at=(str, "When it came.", TIME),
    source=(str, "How it came.", "webhook"),
    state=(str, "What became of it.", "processed"),
    attempts=(int, "How often it was tried.", 1),
    failures=(int, "How often that failed.", 0),
    replays=(int, "How often it was put back.", 0),
    due_at=(str | None, "When it is due.", None),
    applied_at=(str | None, "When it was applied.", TIME),
    last_error=(str | None, "Why it failed last.", None),
    run_id=(str | None, "The run that did it.", None),
)
StripeEventPage = listed("StripeEventPage", "events", StripeEvent)

MonthState = shown(
    "MonthState",
    "Where a month stands that has ended.",
    month=(str, "The month.", "2026-10"),
    drafts=(int, "Invoices that are not final.", 0),
    on_hold=(int, "Drafts that a hold keeps.", 0),
    unanswered=(int, "Charges without a definite answer.", 0),
    state=(str, "not_billed, not_charged, charging, on_hold or done.", "done"),
)
Months = shown("Months", "The months that have ended.", months=(many(MonthState), "The oldest first.", []))

DraftTotal = shown(
    "DraftTotal",
    "What a month's drafts add up to in one currency.",
    currency=(str, "ISO 4217, in lower case.", "usd"),
    total=(Amount, "Of all drafts.", None),
)
MonthDrafts = shown(
    "MonthDrafts",
    "What there is to approve.",
    month=(str, "The month.", "2026-10"),
    rows=(str, "Which versions of the rows it is: what an approval names.", "12.7.3"),
    drafts=(int, "Invoices that are not final.", 200),
    totals=(many(DraftTotal), "By currency.", []),
    unmet_gates=(int, "Gates that have not passed.", 0),
)

Difference = shown(
    "Difference",
    "What differs between our books and Stripe's.",
    object_type=(str, "invoice, payment, refund or credit_note.", "invoice"),
    kind=(str, "How it differs.", "status"),
    stripe_id=(str | None, "At Stripe.", "in_1"),
    invoice_id=(str | None, "Here.", ID),
    ours=(str | None, "What we have.", "open"),
    theirs=(str | None, "What Stripe has.", "paid"),
    proposed_action=(str, "What to do.", "process_events"),
)
Reconciliation = shown(
    "Reconciliation",
    "A comparison of our books with Stripe's.",
    reconciliation_id=(int, "Order of the comparisons.", 1),
    month=(str | None, "The month; null: all that are open.", None),
    finished_at=(str, "When.", TIME),
    charge_count=(int, "Our charges.", 200),
    stripe_invoice_count=(int, "Stripe's invoices.", 200),
    stripe_payment_count=(int, "Stripe's payments.", 190),
    stripe_refund_count=(int, "Stripe's refunds.", 0),
    stripe_credit_note_count=(int, "Stripe's credit notes.", 0),
    difference_count=(int, "What differed.", 0),
    differences=(many(Difference), "What differed.", []),
)
LastReconciliation = shown(
    "LastReconciliation",
    "The newest comparison.",
    reconciliation=(Reconciliation | None, "Null: there was none.", None),
)

Token = shown(
    "Token",
    "A token, without its secret.",
    token_id=(str, "The part of it that may be told.", "0123456789ab"),
    owner=(str, "The author of what it changes.", "support"),
    role=(str, "What it may have.", "operator"),
    scopes=(list[str], "What it may do.", ["invoices:read"]),
    customer_id=(str | None, "Whose rows it sees; null: all.", None),
    created_at=(str, "When it was made.", TIME),
    created_by=(str, "Who made it.", "ann"),
    replaces=(str | None, "The token that it was made from.", None),
    expires_at=(str | None, "From then on it lets nobody in.", None),
    last_used_at=(str | None, "To the minute.", TIME),
    revoked_at=(str | None, "When it was revoked.", None),
    revoked_by=(str | None, "Who revoked it.", None),
    state=(str, "active, expired or revoked.", "active"),
)
TokenPage = listed("TokenPage", "tokens", Token)

Prices = shown(
    "Prices",
    "The price books that are loaded; rows as `billing prices show --json` has them.",
    books=(list[Json], "A row a book.", [{"currency": "usd", "name": "standard"}]),
    meters=(list[Json], "A row a meter.", [{"meter": "api_calls", "aggregation": "sum"}]),
    prices=(list[Json], "A row a rate or tier.", [{"meter": "api_calls", "unit_amount": "0.015"}]),
    terms=(list[Json], "A row a commitment, discount or other term.", []),
)

Coupons = shown(
    "Coupons",
    "Coupons, as `billing discounts list --json` has them.",
    coupons=(list[Json], "By their code.", [{"coupon": "WELCOME", "percent": "10"}]),
)

Explanation = shown(
    "Explanation",
    "An invoice computed again, as `billing explain --json` has it.",
    explanation=(Json, "The invoice, its lines, snapshots, events, and what does not fit.", {"problems": []}),
)

Budget = shown(
    "Budget",
    "Of how much of each running period a customer wants to be told.",
    budget_id=(int, "Its number.", 1),
    customer_id=(str, "Whose.", "cust_focus"),
    meter=(str | None, "The meter whose quantity is watched; null: what the invoice comes to so far.", None),
    unit=(str | None, "The meter's unit.", None),
    limit=(Amount | None, "The amount that is 100 percent; null: a meter is watched.", None),
    currency=(str | None, "Of the amount.", "usd"),
    limit_quantity=(str | None, "The quantity that is 100 percent; null: the amount is watched.", None),
    thresholds_percent=(list[int], "Shares that are told, each once a period.", [50, 80, 100]),
    author=(str, "Who changed it last.", "ann"),
    reason=(str, "Why.", "as they asked"),
    changed_at=(str, "When.", TIME),
)
Budgets = shown("Budgets", "The budgets of a customer.", budgets=(many(Budget), "In the order of their making.", []))
