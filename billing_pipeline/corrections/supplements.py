"""Supplementary drafts: another invoice of a billed period, over the adjustments that wait for one.

They are finalised and charged like any other invoice. Which adjustments go on one is decided where they are made.
"""

from sqlalchemy import Connection, text

from billing_pipeline.invoicing.rules.invoice_ids import supplement_id
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def draft_missing_supplements(warehouse: Warehouse, run_id: str) -> None:
    """Draft one for each billed period whose adjustments wait for it, such as those of a supplement that was voided."""
    for row in warehouse.rows(_WITHOUT_SUPPLEMENT):
        with owned_month(warehouse, row["billing_month"]) as connection:
            draft_supplement(connection, row["period_id"], run_id)


def months_of_supplements(warehouse: Warehouse) -> tuple[str, ...]:
    """The months (YYYY-MM) that have supplementary drafts, which the next run of the month finalises."""
    return tuple(f"{row['billing_month']:%Y-%m}" for row in warehouse.rows(_SUPPLEMENT_DRAFTS))


def draft_supplement(connection: Connection, period_id: object, run_id: str) -> str:
    """Draft a supplementary invoice of the period with the adjustments that wait for one; its invoice_id."""
    period = connection.execute(text(_NEXT_SUPPLEMENT), {"period_id": period_id}).one()
    invoice_id = str(supplement_id(period.customer_id, period.period_start, period.supplement_no))
    values = {"period_id": period_id, "invoice_id": invoice_id, "supplement_no": period.supplement_no, "run_id": run_id}
    connection.execute(text(load_sql("corrections/supplement_lines.sql")), values)
    connection.execute(text(_SUPPLEMENT), values)
    return invoice_id


_NEXT_SUPPLEMENT = """
SELECT p.customer_id, p.period_start, max(i.supplement_no) + 1 AS supplement_no
FROM billing.billing_periods AS p JOIN billing.invoices AS i USING (period_id)
WHERE p.period_id = :period_id GROUP BY p.customer_id, p.period_start
"""
_SUPPLEMENT = """
INSERT INTO billing.invoices (
    invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, supplement_no, run_id
)
SELECT a.invoice_id, a.customer_id, a.period_id, a.billing_month, a.currency, sum(a.amount_minor), count(*),
    CAST(:supplement_no AS integer), :run_id
FROM billing.invoice_adjustments AS a WHERE a.invoice_id = :invoice_id
GROUP BY a.invoice_id, a.customer_id, a.period_id, a.billing_month, a.currency
"""
_WITHOUT_SUPPLEMENT = """
SELECT DISTINCT p.billing_month, w.corrects_period_id AS period_id
FROM billing.waiting_adjustments AS w
JOIN billing.billing_periods AS p ON p.period_id = w.corrects_period_id
JOIN billing.invoices AS i ON i.period_id = p.period_id AND i.supplement_no = 0
WHERE w.on_supplement AND billing.is_final(i.status)
ORDER BY 1, 2
"""
_SUPPLEMENT_DRAFTS = """
SELECT DISTINCT billing_month FROM billing.invoices WHERE supplement_no > 0 AND status = 'draft' ORDER BY 1
"""
