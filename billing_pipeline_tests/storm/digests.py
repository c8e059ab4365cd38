"""Final tables as digests: everything in them but when it was written and by which run."""

from billing_pipeline.postgres.warehouse import Warehouse

_WITHOUT = (
    "received_at", "applied_at", "due_at", "updated_at", "changed_at", "first_seen_at", "finalized_at", "imported_at",
    "pending_since", "body", "attempts", "failures", "run_id", "last_error",
)  # fmt: skip
_LEFT_OUT = ("automation_log", "stripe_event_sweeps")
_TABLES = """
SELECT c.relname AS name FROM pg_class AS c
WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind = 'r'
    AND (c.relname LIKE 'stripe%' OR c.relname IN ('invoices', 'customers', 'invoice_line_items'))
ORDER BY 1
"""


def digest(warehouse: Warehouse) -> dict[str, str]:
    """A digest by table: of the charges, invoices and all that is known of Stripe."""
    without = ", ".join(f"'{name}'" for name in _WITHOUT)
    found = {}
    for table in warehouse.rows(_TABLES):
        name = table["name"]
        if name not in _LEFT_OUT:
            found[name] = warehouse.scalar(
                f"SELECT count(*) || ' ' || md5(coalesce(string_agg(r, '|' ORDER BY r COLLATE \"C\"), '')) FROM"
                f" (SELECT (to_jsonb(t) - ARRAY[{without}])::text AS r FROM billing.{name} AS t) AS rows"
            )
    return found
