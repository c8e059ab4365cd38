-- Grain: one row a month, currency and customer whose recurring revenue is another than in the month before.
CREATE VIEW billing.revenue_movements AS
SELECT
    billing_month,
    currency,
    customer_id,
    movement,
    before_minor,
    mrr_minor,
    change_minor
FROM billing.revenue_changes
WHERE movement IS NOT NULL;

COMMENT ON VIEW billing.revenue_movements IS 'One row a month, currency and customer whose MRR moved, and how';
COMMENT ON COLUMN billing.revenue_movements.billing_month IS 'Month';
COMMENT ON COLUMN billing.revenue_movements.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_movements.customer_id IS 'Customer';
COMMENT ON COLUMN billing.revenue_movements.movement IS 'new, expansion, contraction, churned (nothing left) or reactivated (nothing in the month before, but earlier)';
COMMENT ON COLUMN billing.revenue_movements.before_minor IS 'MRR of the month before';
COMMENT ON COLUMN billing.revenue_movements.mrr_minor IS 'MRR of the month';
COMMENT ON COLUMN billing.revenue_movements.change_minor IS 'mrr_minor less before_minor';
