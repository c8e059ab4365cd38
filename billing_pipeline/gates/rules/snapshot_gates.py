"""The gates of `usage_snapshots`: the usage of a month, before it is priced."""

from billing_pipeline.gates.rules.gate import Gate, NoRows, NotNegative, NotNull, Unique
from billing_pipeline.gates.rules.gate_remedies import CORRECT, DRAFT, MEASURE, SHOW_USAGE, not_ours
from billing_pipeline.gates.rules.remedies import Remedy

SNAPSHOT_GATES: tuple[Gate, ...] = (
    Gate(
        "usage_snapshots",
        "unique_grain",
        Unique(("period_id", "meter", "dimensions")),
        "One row a period, meter and dimensions.",
        not_ours("A quantity stands there twice and would be billed twice.", MEASURE),
    ),
    Gate(
        "usage_snapshots",
        "complete_values",
        NotNull(("customer_id", "currency", "quantity", "event_count", "as_of", "basis")),
        "No value is missing.",
        not_ours("A row lacks what it is billed by.", MEASURE),
    ),
    Gate(
        "usage_snapshots",
        "quantities_not_negative",
        NotNegative(("quantity",)),
        "Nobody uses less than nothing.",
        Remedy(
            "Events of the platform add up to less than nothing, mostly because something was taken back that was never"
            " used. Look at the events of the customer and meter in the sample, correct the wrong one, draft again.",
            (SHOW_USAGE, CORRECT, DRAFT),
        ),
    ),
    Gate(
        "usage_snapshots",
        "known_meters_and_dimensions",
        NoRows(),
        "Every meter is in the customer's price book and carries exactly the meter's dimensions.",
        Remedy(
            "The price book lost or changed a meter after this usage was measured. If that was a mistake, mend the file"
            " and load it (`billing prices load`). Then measure again: what the book does not know is quarantined, not"
            " billed.",
            (DRAFT,),
        ),
    ),
    Gate(
        "usage_snapshots",
        "usage_conserved",
        NoRows(),
        "Every usage event of the month is in a snapshot or in quarantine.",
        Remedy(
            "Events are missing from what was measured, or were counted twice: often a customer came in or changed"
            " meanwhile. Measure again. If that does not help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "usage_snapshots",
        "feed_reaches_period_end",
        NoRows(),
        "The usage feed is complete to the end of every period, or an operator released the month with carry-forward.",
        Remedy(
            "The platform has not sent all usage of the month yet. Import the rest and draft again. Only if it will not"
            " come in time: release the month, which bills what is not covered at the period before's quantities.",
            (
                "billing import usage FILE --complete-through INSTANT",
                DRAFT,
                f"{DRAFT} --carry-forward",
            ),
        ),
    ),
    Gate(
        "usage_snapshots",
        "contract_starts_are_known",
        NoRows(),
        "Whoever is billed for the first time has a contract that says from which day.",
        Remedy(
            "This stops nothing. Nobody said when these customers' contracts start, so they are billed from the period"
            " of their first usage on, and that period in full. If one starts within it, say so and draft again.",
            ("billing customers start CUSTOMER --on DAY --author NAME --reason TEXT", DRAFT),
        ),
        blocking=False,
    ),
    Gate(
        "usage_snapshots",
        "volume_within_bounds",
        NoRows(),
        "A meter's volume is between half and twice last month's.",
        Remedy(
            "This stops nothing. Compare the months and find the customers who make the difference. If usage is missing"
            " or was sent twice, import or correct it and draft again before the month is charged.",
            ("billing diff {last_month} {month}", CORRECT, DRAFT),
        ),
        blocking=False,
    ),
)
