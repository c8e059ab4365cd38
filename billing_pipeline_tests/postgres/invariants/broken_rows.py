"""One way or more to break each gate: rows that no trigger and no constraint of the database would let in.

The month they break is the one of test_data_quality.py.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Break:
    """How to break a gate: statements that no trigger or constraint stops, and what its sample then shows."""

    asset: str
    gate: str
    by: str
    shows: dict[str, Any]
    without: str = ""
    failing_rows: int = 1
    also: frozenset[str] = frozenset()
    """Other gates for which the rows are as wrong."""


ANN = "customer_id = 'ann' AND billing_month = '2025-10-01'"
ANN_CALLS = f"{ANN} AND meter = 'calls'"

SNAPSHOTS = [
    Break(
        "usage_snapshots",
        "unique_grain",
        "INSERT INTO billing.usage_snapshots SELECT period_id, meter, dimensions, customer_id, billing_month, currency,"
        f" quantity, 0, as_of, basis, run_id FROM billing.usage_snapshots WHERE {ANN_CALLS}",
        {"meter": "calls", "dimensions": "{}", "row_count": 2},
        "ALTER TABLE billing.usage_snapshots DROP CONSTRAINT usage_snapshots_pkey",
        failing_rows=2,
    ),
    Break(
        "usage_snapshots",
        "complete_values",
        f"UPDATE billing.usage_snapshots SET basis = NULL WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "basis": None},
        "ALTER TABLE billing.usage_snapshots ALTER basis DROP NOT NULL",
    ),
    Break(
        "usage_snapshots",
        "quantities_not_negative",
        f"UPDATE billing.usage_snapshots SET quantity = -0.000000000001 WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann", "meter": "fee", "quantity": "-0.000000000001"},
    ),
    Break(
        "usage_snapshots",
        "known_meters_and_dimensions",
        f"UPDATE billing.usage_snapshots SET meter = 'mystery' WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann", "meter": "mystery"},
    ),
    Break(
        "usage_snapshots",
        "known_meters_and_dimensions",
        f"""UPDATE billing.usage_snapshots SET dimensions = '{{"region": "eu"}}' WHERE {ANN} AND meter = 'fee'""",
        {"customer_id": "ann", "dimensions": '{"region": "eu"}'},
    ),
    Break(
        "usage_snapshots",
        "usage_conserved",
        f"UPDATE billing.usage_snapshots SET event_count = 2 WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "events": "1", "in_snapshots_or_quarantine": "2"},
    ),
    Break(
        "usage_snapshots",
        "usage_conserved",
        f"DELETE FROM billing.usage_snapshots WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "events": "1", "in_snapshots_or_quarantine": "0"},
    ),
    Break(
        "usage_snapshots",
        "usage_conserved",
        "DELETE FROM billing.usage_quarantine WHERE customer_id = 'stranger' AND meter = 'calls'",
        {"customer_id": "stranger", "meter": "calls", "events": "1", "in_snapshots_or_quarantine": "0"},
    ),
    Break(
        "usage_snapshots",
        "usage_conserved",
        "INSERT INTO billing.usage_events (event_id, customer_id, meter, quantity, occurred_at, received_at)"
        " VALUES ('lost', 'bob', 'peak', 3, '2025-10-05', '2025-10-05')",
        {"customer_id": "bob", "meter": "peak", "events": "1", "in_snapshots_or_quarantine": "0"},
    ),
    Break(
        "usage_snapshots",
        "feed_reaches_period_end",
        "UPDATE billing.usage_imports SET complete_through = '2025-10-31T15:00Z'",
        {"customer_id": "ann", "period_end": "2025-11-01 00:00:00+00:00"},
        failing_rows=2,
    ),
    Break(
        "usage_snapshots",
        "feed_reaches_period_end",
        "DELETE FROM billing.usage_imports",
        {"complete_through": None},
        failing_rows=3,
    ),
    Break(
        "usage_snapshots",
        "contract_starts_are_known",
        "WITH late AS (UPDATE billing.customers SET created_at = '2025-10-03Z' WHERE customer_id = 'cyd')"
        " UPDATE billing.contract_terms SET withdrawn_at = now(), withdrawn_by = 'x' WHERE customer_id = 'cyd'",
        {"customer_id": "cyd"},
    ),
    Break(
        "usage_snapshots",
        "volume_within_bounds",
        "UPDATE billing.usage_snapshots SET quantity = 401 WHERE customer_id = 'bob' AND meter = 'calls'"
        " AND billing_month = '2025-09-01'",
        {"meter": "calls", "last_month": "441"},
    ),
]

HUNDREDFOLD = "unit_amount = 100 * unit_amount, exact_amount = 100 * exact_amount, amount_minor = 100 * amount_minor"
LINES = [
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        "UPDATE billing.invoice_line_items SET unit_amount = unit_amount - 0.01, exact_amount = exact_amount - 0.01,"
        f" amount_minor = amount_minor - 1 WHERE {ANN} AND kind = 'minimum'",
        {"customer_id": "ann", "meter": "storage", "price": "5", "amount_minor": 499},
    ),
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        f"DELETE FROM billing.invoice_line_items WHERE {ANN} AND kind = 'minimum'",
        {"customer_id": "ann", "meter": "storage", "quantity": "0", "price": "5"},
    ),
    Break(
        "invoice_line_items",
        "unique_grain",
        f"UPDATE billing.invoice_line_items SET line_no = 1 WHERE {ANN} AND line_no = 2",
        {"line_no": 1, "row_count": 2},
        "ALTER TABLE billing.invoice_line_items DROP CONSTRAINT invoice_line_items_pkey CASCADE",
        failing_rows=2,
    ),
    Break(
        "invoice_line_items",
        "complete_values",
        f"UPDATE billing.invoice_line_items SET description = NULL WHERE {ANN_CALLS}",
        {"customer_id": "ann", "description": None},
        "ALTER TABLE billing.invoice_line_items ALTER description DROP NOT NULL",
    ),
    Break(
        "invoice_line_items",
        "quantities_not_negative",
        "UPDATE billing.invoice_line_items SET quantity = -1, exact_amount = -unit_amount, amount_minor = -amount_minor"
        f" WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann", "quantity": "-1"},
    ),
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        f"UPDATE billing.invoice_line_items SET {HUNDREDFOLD} WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann", "meter": "fee", "unit_amount": "1000", "price": "10", "amount_minor": 100000},
    ),
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        f"UPDATE billing.invoice_line_items SET amount_minor = amount_minor + 1 WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann", "meter": "fee", "amount_minor": 1001},
    ),
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        "UPDATE billing.prices SET retired_at = now() WHERE meter = 'fee'",
        {"meter": "fee"},
        failing_rows=3,
        also=frozenset({"no_price_lost"}),
    ),
    Break(
        "invoice_line_items",
        "amount_is_quantity_times_price",
        "INSERT INTO billing.price_versions VALUES ('usd', 'newer', '2025-09-30')",
        {"customer_id": "cyd"},
        failing_rows=11,
        also=frozenset({"no_price_lost"}),
    ),
    Break(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        f"UPDATE billing.invoice_line_items SET usage_quantity = usage_quantity + 1 WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "measured": "41", "covered": "42"},
    ),
    Break(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        f"DELETE FROM billing.invoice_line_items WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "measured": "41", "covered": "0"},
    ),
    Break(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        "DELETE FROM billing.usage_quarantine WHERE customer_id = 'ann' AND billing_month = '2025-10-01'",
        {"customer_id": "ann", "meter": "clusters", "covered": "0"},
    ),
    Break(
        "invoice_line_items",
        "every_snapshot_priced_or_quarantined",
        f"DELETE FROM billing.usage_snapshots WHERE {ANN_CALLS}",
        {"customer_id": "ann", "meter": "calls", "measured": "0", "covered": "41"},
    ),
    Break(
        "invoice_line_items",
        "price_within_bounds",
        "INSERT INTO billing.prices SELECT md5('')::uuid, book, currency, version_id, effective_from, customer_id, meter,"
        " dimensions, model, tier_no, tier_from, tier_up_to, round(unit_amount / 10, 12) - 0.000000000001, package_size, included,"
        " minimum, description, position, now() FROM billing.prices WHERE meter = 'fee'",
        {"meter": "fee", "unit_amount": "10", "unit_amount_before": "0.999999999999"},
    ),
    Break(
        "invoice_line_items",
        "price_within_bounds",
        "INSERT INTO billing.price_versions VALUES ('usd', 'older', '2000-01-01');"
        " INSERT INTO billing.prices SELECT md5('')::uuid, book, currency, 'older', '2000-01-01', customer_id, meter,"
        " dimensions, model, tier_no, tier_from, tier_up_to, round(unit_amount / 11, 12), package_size, included,"
        " minimum, description, position, NULL FROM billing.prices WHERE meter = 'fee'",
        {"meter": "fee", "unit_amount": "10"},
    ),
    Break(
        "invoice_line_items",
        "revenue_within_bounds",
        "UPDATE billing.invoices SET total_minor = 99999999 WHERE billing_month = '2025-09-01' AND customer_id = 'bob'",
        {"currency": "usd"},
    ),
]

INVOICES = [
    Break(
        "invoices",
        "one_invoice_per_period",
        "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, revision, supersedes_invoice_id, currency,"
        " total_minor, line_count, run_id) SELECT md5('')::uuid, customer_id, period_id, billing_month, 1, invoice_id, currency, 1000, 1, run_id"
        f" FROM billing.invoices WHERE {ANN};"
        f" UPDATE billing.invoice_line_items SET invoice_id = md5('')::uuid WHERE {ANN} AND meter = 'fee';"
        f" UPDATE billing.invoices SET total_minor = total_minor - 1000, line_count = line_count - 1 WHERE {ANN}"
        " AND revision = 0",
        {"customer_id": "ann", "invoices": 2},
        "DROP INDEX billing.invoices_one_live",
    ),
    Break(
        "invoices",
        "total_is_sum_of_lines",
        f"UPDATE billing.invoices SET total_minor = total_minor + 1 WHERE {ANN}",
        {"customer_id": "ann"},
    ),
    Break(
        "invoices",
        "total_is_sum_of_lines",
        f"DELETE FROM billing.invoice_line_items WHERE {ANN} AND meter = 'fee'",
        {"customer_id": "ann"},
    ),
    Break(
        "invoices",
        "one_currency",
        "UPDATE billing.customers SET currency = 'eur' WHERE customer_id = 'ann'",
        {"customer_id": "ann", "invoice_currency": "usd", "customer_currency": "eur"},
    ),
    Break(
        "invoices",
        "one_currency",
        f"UPDATE billing.invoice_line_items SET currency = 'eur' WHERE {ANN_CALLS}",
        {"customer_id": "ann", "invoice_currency": "usd", "line_currency": "eur"},
    ),
    Break(
        "invoices",
        "every_customer_invoiced_or_excluded",
        f"DELETE FROM billing.invoices WHERE {ANN}; DELETE FROM billing.invoice_line_items WHERE {ANN};"
        " DELETE FROM billing.usage_quarantine WHERE customer_id = 'ann'",
        {"customer_id": "ann", "reason": None},
    ),
]
