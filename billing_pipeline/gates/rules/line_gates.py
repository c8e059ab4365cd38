"""The gates of `invoice_line_items`: the priced lines of a month."""

from billing_pipeline.gates.rules.gate import Gate, NoRows, NotNegative, NotNull, Unique
from billing_pipeline.gates.rules.gate_remedies import DRAFT, not_ours
from billing_pipeline.gates.rules.remedies import Remedy

LINE_GATES: tuple[Gate, ...] = (
    Gate(
        "invoice_line_items",
        "unique_grain",
        Unique(("invoice_id", "line_no")),
        "One row an invoice and line number.",
        not_ours("A line stands there twice and would be billed twice.", DRAFT),
    ),
    Gate(
        "invoice_line_items",
        "complete_values",
        NotNull(("customer_id", "description", "quantity", "unit_amount", "exact_amount", "amount_minor")),
        "No value is missing.",
        not_ours("A line lacks what the customer reads or pays.", DRAFT),
    ),
    Gate(
        "invoice_line_items",
        "quantities_not_negative",
        NotNegative(("usage_quantity", "included_quantity", "quantity")),
        "No quantity is negative.",
        not_ours("A line would take money off the bill.", DRAFT),
    ),
    Gate(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        NoRows(),
        "Every amount is quantity times the price in force at the period's start, rounded once.",
        Remedy(
            "The price book changed after these lines were made. Draft the month again with the prices of now. If that"
            " does not help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "invoice_line_items",
        "terms_are_kept",
        NoRows(),
        "Commitments lift their meters to what is committed, and discounts take off what they say and never more than"
        " there is.",
        Remedy(
            "A commitment or a discount changed after these lines were made. Draft the month again. If that does not"
            " help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        NoRows(),
        "Usage = billed + covered by allowance + quarantined, for every snapshot.",
        Remedy(
            "The lines were made from other snapshots than those that are there now. Draft the month again. If that"
            " does not help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "invoice_line_items",
        "price_within_bounds",
        NoRows(),
        "No price is more than BILLING_PRICE_FACTOR_MAX times the one that it replaces.",
        Remedy(
            "Look at the price in the sample. If it is a mistake, mend the file, load it and draft again."
            " If it is wanted, draft the month once with a higher bound.",
            (DRAFT, f"BILLING_PRICE_FACTOR_MAX=FACTOR {DRAFT}"),
        ),
    ),
    Gate(
        "invoice_line_items",
        "no_price_lost",
        NoRows(),
        "What had revenue last month has a price now, or the price book says that it is retired.",
        Remedy(
            "The price book lacks a price that it had. If that is a mistake, mend the file and draft again. If the"
            " meter or rate is no longer sold, say so in the version: `retired: [{meter: METER}]`.",
            ("billing prices check FILE", DRAFT),
        ),
    ),
    Gate(
        "invoice_line_items",
        "set_aside_within_allowance",
        NoRows(),
        "No more customers' usage, and no more revenue, is in quarantine than the settings allow.",
        Remedy(
            "So much usage is set aside that the feed or the price book is doubtful. Look at the reasons and end their"
            " causes. If it is right, draft the month once with a higher allowance.",
            (DRAFT, f"BILLING_SET_ASIDE_CUSTOMERS_MAX_PERCENT=100 BILLING_SET_ASIDE_REVENUE_MAX_PERCENT=100 {DRAFT}"),
        ),
    ),
    Gate(
        "invoice_line_items",
        "rounding_within_bounds",
        NoRows(),
        "Rounding moved no invoice by more than BILLING_ROUNDING_MAX_PERCENT of what its lines come to exactly.",
        Remedy(
            "This stops nothing. Many lines are smaller than the smallest step of the currency, so that they round to"
            " nothing, or up. Price the meter in larger units or in packages.",
            (DRAFT,),
        ),
        blocking=False,
    ),
    Gate(
        "invoice_line_items",
        "revenue_within_bounds",
        NoRows(),
        "A currency's revenue is between half and twice last month's.",
        Remedy(
            "This stops nothing. Compare the months: the report says how much of the difference is price, volume, new"
            " or lost customers. If it is a mistake, mend prices or usage and draft again before the month is charged.",
            ("billing diff {last_month} {month}", DRAFT),
        ),
        blocking=False,
    ),
)
