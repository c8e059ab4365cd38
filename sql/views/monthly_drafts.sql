-- Grain: one row a month, currency and meter, of drafts. Final invoices are in monthly_revenue.
CREATE VIEW billing.monthly_drafts AS
SELECT
    l.billing_month,
    l.currency,
    l.meter,
    count(DISTINCT l.customer_id) AS customers,
    trim_scale(sum(l.quantity)) AS quantity,
    sum(l.amount_minor) AS drafted_minor
FROM (
    SELECT li.billing_month, li.currency, li.meter::text AS meter, li.customer_id, li.quantity, li.amount_minor, li.invoice_id
    FROM billing.invoice_line_items AS li
    UNION ALL
    SELECT ia.billing_month, ia.currency, 'adjustments', ia.customer_id, 1, ia.amount_minor, ia.invoice_id
    FROM billing.invoice_adjustments AS ia
) AS l
LEFT JOIN billing.invoices AS i USING (invoice_id)
WHERE coalesce(i.status, 'draft') = 'draft'
GROUP BY l.billing_month, l.currency, l.meter;

COMMENT ON VIEW billing.monthly_drafts IS 'One row a month, currency and meter: what drafts would bill, and lines whose invoice is not drafted yet; nothing of it is final';
COMMENT ON COLUMN billing.monthly_drafts.billing_month IS 'Partition';
COMMENT ON COLUMN billing.monthly_drafts.currency IS 'Currency of drafted_minor';
COMMENT ON COLUMN billing.monthly_drafts.meter IS 'Meter; adjustments for what was not metered';
COMMENT ON COLUMN billing.monthly_drafts.customers IS 'Customers with a line of the meter';
COMMENT ON COLUMN billing.monthly_drafts.quantity IS 'Units that would be billed';
COMMENT ON COLUMN billing.monthly_drafts.drafted_minor IS 'Sum of the lines in minor units';
