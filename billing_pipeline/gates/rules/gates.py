"""The data-quality gates as data: what is expected of a month's rows, and whether charging needs it.

The statements behind `NoRows` are in sql/gates/<name>.sql and return the rows that fail. The blocking ones
are also in billing.required_gates, where finalisation looks; a test holds the two lists together.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows share these columns."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotNull:
    """None of these columns is null."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotNegative:
    """None of these columns is below zero."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRows:
    """sql/gates/<gate name>.sql returns nothing."""


Rule = Unique | NotNull | NotNegative | NoRows


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of one asset's month. A gate that does not block only warns."""

    asset: str
    name: str
    rule: Rule
    expectation: str
    blocking: bool = True


GATES: tuple[Gate, ...] = (
    Gate(
        "usage_snapshots",
        "unique_grain",
        Unique(("period_id", "meter", "dimensions")),
        "One row a period, meter and dimensions.",
    ),
    Gate(
        "usage_snapshots",
        "complete_values",
        NotNull(("customer_id", "currency", "quantity", "event_count", "as_of", "basis")),
        "No value is missing.",
    ),
    Gate("usage_snapshots", "quantities_not_negative", NotNegative(("quantity",)), "Nobody uses less than nothing."),
    Gate(
        "usage_snapshots",
        "known_meters_and_dimensions",
        NoRows(),
        "Every meter is in the customer's price book and carries exactly the meter's dimensions.",
    ),
    Gate(
        "usage_snapshots",
        "usage_conserved",
        NoRows(),
        "Every usage event of the month is in a snapshot or in quarantine.",
    ),
    Gate(
        "usage_snapshots",
        "feed_reaches_period_end",
        NoRows(),
        "The usage feed is complete to the end of every period, or an operator released the month with carry-forward.",
    ),
    Gate(
        "usage_snapshots",
        "volume_within_bounds",
        NoRows(),
        "A meter's volume is between half and twice last month's.",
        blocking=False,
    ),
    Gate(
        "invoice_line_items", "unique_grain", Unique(("invoice_id", "line_no")), "One row an invoice and line number."
    ),
    Gate(
        "invoice_line_items",
        "complete_values",
        NotNull(("customer_id", "description", "quantity", "unit_amount", "exact_amount", "amount_minor", "price_id")),
        "No value is missing.",
    ),
    Gate(
        "invoice_line_items",
        "quantities_not_negative",
        NotNegative(("usage_quantity", "included_quantity", "quantity")),
        "No quantity is negative.",
    ),
    Gate(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        NoRows(),
        "Every amount is quantity times the price in force at the period's start, rounded once.",
    ),
    Gate(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        NoRows(),
        "Usage = billed + covered by allowance + quarantined, for every snapshot.",
    ),
    Gate(
        "invoice_line_items",
        "price_within_bounds",
        NoRows(),
        "No price is more than BILLING_PRICE_FACTOR_MAX times the one that it replaces.",
    ),
    Gate(
        "invoice_line_items",
        "revenue_within_bounds",
        NoRows(),
        "A currency's revenue is between half and twice last month's.",
        blocking=False,
    ),
    Gate("invoices", "one_invoice_per_period", NoRows(), "A period has one live invoice."),
    Gate("invoices", "total_is_sum_of_lines", NoRows(), "Every total is the sum of the invoice's lines."),
    Gate("invoices", "one_currency", NoRows(), "Invoice, lines and customer share one currency."),
    Gate(
        "invoices",
        "every_customer_invoiced_or_excluded",
        NoRows(),
        "Every customer has an invoice, or a reason for having none.",
    ),
    Gate("invoices", "no_invoice_over_cap", NoRows(), "No draft is above BILLING_INVOICE_CAP_MINOR."),
)


def gates_of(asset: str) -> tuple[Gate, ...]:
    """The gates of one asset, in the order in which operators read them."""
    return tuple(gate for gate in GATES if gate.asset == asset)
