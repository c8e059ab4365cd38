-- Grain: one row a month, currency and customer of recurring_revenue, beside the month before. What a movement is, is
-- said here and nowhere else.
CREATE VIEW billing.revenue_changes AS
SELECT
    c.billing_month,
    c.currency,
    c.customer_id,
    CASE
        WHEN c.mrr_minor = c.before_minor THEN NULL
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
) AS c;

COMMENT ON VIEW billing.revenue_changes IS 'One row a month, currency and customer with recurring revenue, now or before: MRR, and how it moved';
COMMENT ON COLUMN billing.revenue_changes.billing_month IS 'Month';
COMMENT ON COLUMN billing.revenue_changes.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_changes.customer_id IS 'Customer';
COMMENT ON COLUMN billing.revenue_changes.movement IS 'new, expansion, contraction, churned (nothing left) or reactivated (nothing in the month before, but earlier); null: none';
COMMENT ON COLUMN billing.revenue_changes.before_minor IS 'MRR of the month before';
COMMENT ON COLUMN billing.revenue_changes.mrr_minor IS 'MRR of the month';
COMMENT ON COLUMN billing.revenue_changes.change_minor IS 'mrr_minor less before_minor';
