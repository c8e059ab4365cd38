-- Grain: one row a month, currency and country.
CREATE VIEW billing.revenue_by_country AS
SELECT
    r.billing_month,
    r.currency,
    c.country,
    count(DISTINCT r.customer_id) AS customers,
    sum(r.billed_minor)::bigint AS billed_minor,
    sum(r.credited_minor)::bigint AS credited_minor,
    sum(r.revenue_minor)::bigint AS revenue_minor
FROM billing.invoice_revenue AS r
INNER JOIN billing.customers AS c USING (customer_id)
GROUP BY r.billing_month, r.currency, c.country;

COMMENT ON VIEW billing.revenue_by_country IS 'One row a month, currency and country: revenue';
COMMENT ON COLUMN billing.revenue_by_country.billing_month IS 'Partition';
COMMENT ON COLUMN billing.revenue_by_country.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_by_country.country IS 'Country of the customer today, ISO 3166-1 alpha-2; null if nobody said';
COMMENT ON COLUMN billing.revenue_by_country.customers IS 'Customers with revenue or credit notes';
COMMENT ON COLUMN billing.revenue_by_country.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.revenue_by_country.credited_minor IS 'Credit notes against them';
COMMENT ON COLUMN billing.revenue_by_country.revenue_minor IS 'billed_minor less credited_minor';
