-- Grain: one row a month, currency and customer whose recurring revenue is another than in the month before.
CREATE VIEW billing.revenue_movements AS
SELECT
    c.billing_month,
    c.currency,
    c.customer_id,
    CASE
        WHEN c.before_minor IS NULL THEN 'new'
        WHEN c.before_minor <= 0 THEN 'reactivated'
        WHEN c.mrr_minor <= 0 THEN 'churned'
        WHEN c.mrr_minor > c.before_minor THEN 'expansion'
        ELSE 'contraction'
    END AS movement,
    coalesce(c.before_minor, 0) AS before_minor,
    c.mrr_minor,
    c.mrr_minor - coalesce(c.before_minor, 0) AS change_minor
FROM (
    SELECT
        r.*,
        lag(r.mrr_minor) OVER (PARTITION BY r.currency, r.customer_id ORDER BY r.billing_month) AS before_minor
    FROM billing.recurring_revenue AS r
) AS c
WHERE c.mrr_minor IS DISTINCT FROM c.before_minor;

COMMENT ON VIEW billing.revenue_movements IS 'One row a month, currency and customer whose MRR moved, and how';
COMMENT ON COLUMN billing.revenue_movements.billing_month IS 'Month';
COMMENT ON COLUMN billing.revenue_movements.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_movements.customer_id IS 'Customer';
COMMENT ON COLUMN billing.revenue_movements.movement IS 'new, expansion, contraction, churned (nothing left) or reactivated (nothing in the month before, but earlier)';
COMMENT ON COLUMN billing.revenue_movements.before_minor IS 'MRR of the month before';
COMMENT ON COLUMN billing.revenue_movements.mrr_minor IS 'MRR of the month';
COMMENT ON COLUMN billing.revenue_movements.change_minor IS 'mrr_minor less before_minor';
