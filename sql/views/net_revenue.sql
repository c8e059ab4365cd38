-- Grain: one row a month and currency, of final invoices.
CREATE VIEW billing.net_revenue AS
SELECT
    billing_month,
    currency,
    count(DISTINCT customer_id) AS customers,
    sum(billed_minor)::bigint AS billed_minor,
    sum(credited_minor)::bigint AS credited_minor,
    sum(revenue_minor)::bigint AS revenue_minor
FROM billing.invoice_revenue
GROUP BY billing_month, currency;

COMMENT ON VIEW billing.net_revenue IS 'One row a month and currency: what final invoices bill, what credit notes take off, and what is left';
COMMENT ON COLUMN billing.net_revenue.billing_month IS 'Partition, of a credit note the month of its invoice';
COMMENT ON COLUMN billing.net_revenue.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.net_revenue.customers IS 'Customers with a final invoice';
COMMENT ON COLUMN billing.net_revenue.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.net_revenue.credited_minor IS 'Sum of the credit notes against them that Stripe has not refused, and of prepaid credits that came back';
COMMENT ON COLUMN billing.net_revenue.revenue_minor IS 'billed_minor less credited_minor';
