-- Grain: one row a month, currency and plan.
CREATE VIEW billing.revenue_by_plan AS
SELECT
    billing_month,
    currency,
    plan,
    count(DISTINCT customer_id) AS customers,
    sum(billed_minor)::bigint AS billed_minor,
    sum(credited_minor)::bigint AS credited_minor,
    sum(revenue_minor)::bigint AS revenue_minor
FROM billing.invoice_revenue
GROUP BY billing_month, currency, plan;

COMMENT ON VIEW billing.revenue_by_plan IS 'One row a month, currency and plan: revenue';
COMMENT ON COLUMN billing.revenue_by_plan.billing_month IS 'Partition';
COMMENT ON COLUMN billing.revenue_by_plan.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_by_plan.plan IS 'Plan of the period; null without one';
COMMENT ON COLUMN billing.revenue_by_plan.customers IS 'Customers with revenue or credit notes';
COMMENT ON COLUMN billing.revenue_by_plan.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.revenue_by_plan.credited_minor IS 'Credit notes against them';
COMMENT ON COLUMN billing.revenue_by_plan.revenue_minor IS 'billed_minor less credited_minor';
