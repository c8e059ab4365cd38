-- Grain: one row a month, currency and meter.
CREATE VIEW billing.monthly_revenue AS
SELECT
    l.billing_month,
    l.currency,
    l.meter,
    count(DISTINCT l.customer_id) AS customers,
    trim_scale(sum(l.quantity)) AS quantity,
    sum(l.amount_minor) AS revenue_minor
FROM (
    SELECT li.billing_month, li.currency, li.meter::text AS meter, li.customer_id, li.quantity, li.amount_minor, li.invoice_id
    FROM billing.invoice_line_items AS li
    UNION ALL
    SELECT ia.billing_month, ia.currency, 'adjustments', ia.customer_id, 1, ia.amount_minor, ia.invoice_id
    FROM billing.invoice_adjustments AS ia
) AS l
LEFT JOIN billing.invoices AS i USING (invoice_id)
WHERE i.status IS DISTINCT FROM 'void'
GROUP BY l.billing_month, l.currency, l.meter;

COMMENT ON VIEW billing.monthly_revenue IS 'One row a month, currency and meter: what was billed, drafts included, void invoices and credit notes not';
COMMENT ON COLUMN billing.monthly_revenue.billing_month IS 'Partition';
COMMENT ON COLUMN billing.monthly_revenue.currency IS 'Currency of revenue_minor';
COMMENT ON COLUMN billing.monthly_revenue.meter IS 'Meter; adjustments for what was not metered';
COMMENT ON COLUMN billing.monthly_revenue.customers IS 'Customers with a line of the meter';
COMMENT ON COLUMN billing.monthly_revenue.quantity IS 'Billed units';
COMMENT ON COLUMN billing.monthly_revenue.revenue_minor IS 'Sum of the lines in minor units';
