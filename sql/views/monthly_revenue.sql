-- Grain: one row a month, currency and meter, of final invoices. Drafts are in monthly_drafts.
CREATE VIEW billing.monthly_revenue AS
SELECT
    billing_month,
    currency,
    meter,
    count(DISTINCT customer_id) AS customers,
    trim_scale(sum(quantity)) AS quantity,
    sum(billed_minor) AS billed_minor,
    sum(credited_minor) AS credited_minor,
    sum(revenue_minor) AS revenue_minor
FROM billing.invoice_revenue
GROUP BY billing_month, currency, meter;

COMMENT ON VIEW billing.monthly_revenue IS 'One row a month, currency and meter: what final invoices bill, net of credit notes; drafts and void invoices do not count';
COMMENT ON COLUMN billing.monthly_revenue.billing_month IS 'Partition, of a credit note the month of its invoice';
COMMENT ON COLUMN billing.monthly_revenue.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.monthly_revenue.meter IS 'Meter; adjustments for what was not metered, credit notes for what was taken off a whole invoice';
COMMENT ON COLUMN billing.monthly_revenue.customers IS 'Customers with a line of the meter';
COMMENT ON COLUMN billing.monthly_revenue.quantity IS 'Billed units; credit notes take none away';
COMMENT ON COLUMN billing.monthly_revenue.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.monthly_revenue.credited_minor IS 'Sum of the credit notes against them that Stripe has not refused, in minor units';
COMMENT ON COLUMN billing.monthly_revenue.revenue_minor IS 'billed_minor less credited_minor';
