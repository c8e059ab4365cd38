-- Grain: one row an adjustment that waits for a supplementary invoice of :period_id, on its draft :invoice_id.
INSERT INTO billing.invoice_adjustments (
    invoice_id, line_no, adjustment_id, customer_id, period_id, billing_month, currency, description, amount_minor
)
SELECT
    cast(:invoice_id AS uuid),
    row_number() OVER (ORDER BY w.created_at, w.adjustment_id),
    w.adjustment_id,
    w.customer_id,
    p.period_id,
    p.billing_month,
    w.currency,
    w.description,
    w.left_minor
FROM billing.waiting_adjustments AS w
INNER JOIN billing.billing_periods AS p ON w.corrects_period_id = p.period_id
WHERE p.period_id = :period_id AND w.on_supplement
