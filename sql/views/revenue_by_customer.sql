-- Grain: one row a month, currency, customer and plan, for sums by plan and country.
CREATE VIEW billing.revenue_by_customer AS
SELECT
    r.billing_month,
    r.currency,
    r.customer_id,
    c.name AS customer_name,
    c.country,
    r.plan,
    sum(r.billed_minor)::bigint AS billed_minor,
    sum(r.credited_minor)::bigint AS credited_minor,
    sum(r.revenue_minor)::bigint AS revenue_minor
FROM billing.invoice_revenue AS r
INNER JOIN billing.customers AS c USING (customer_id)
GROUP BY r.billing_month, r.currency, r.customer_id, c.name, c.country, r.plan;

COMMENT ON VIEW billing.revenue_by_customer IS 'One row a month, currency, customer and plan: revenue, to be added up by plan or country';
COMMENT ON COLUMN billing.revenue_by_customer.billing_month IS 'Partition';
COMMENT ON COLUMN billing.revenue_by_customer.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_by_customer.customer_id IS 'Customer';
COMMENT ON COLUMN billing.revenue_by_customer.customer_name IS 'Its name today';
COMMENT ON COLUMN billing.revenue_by_customer.country IS 'Its country today, ISO 3166-1 alpha-2; null if nobody said';
COMMENT ON COLUMN billing.revenue_by_customer.plan IS 'Plan of the period; null without one';
COMMENT ON COLUMN billing.revenue_by_customer.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.revenue_by_customer.credited_minor IS 'Credit notes against them';
COMMENT ON COLUMN billing.revenue_by_customer.revenue_minor IS 'billed_minor less credited_minor';
