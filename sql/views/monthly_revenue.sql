-- Grain: one row a month, currency and meter, of final invoices. Drafts are in monthly_drafts.
CREATE VIEW billing.monthly_revenue AS
SELECT
    l.billing_month,
    l.currency,
    l.meter,
    count(DISTINCT l.customer_id) AS customers,
    trim_scale(sum(l.quantity)) AS quantity,
    sum(l.billed_minor) AS billed_minor,
    sum(l.credited_minor) AS credited_minor,
    sum(l.billed_minor - l.credited_minor) AS revenue_minor
FROM (
    SELECT
        li.billing_month, li.currency, li.meter::text AS meter, li.customer_id, li.quantity, li.amount_minor AS billed_minor,
        0::bigint AS credited_minor, li.invoice_id
    FROM billing.invoice_line_items AS li
    UNION ALL
    SELECT ia.billing_month, ia.currency, 'adjustments', ia.customer_id, 1, ia.amount_minor, 0, ia.invoice_id
    FROM billing.invoice_adjustments AS ia
    UNION ALL
    SELECT n.billing_month, n.currency, coalesce(li.meter, 'credit notes'), n.customer_id, 0, 0, nl.amount_minor, n.invoice_id
    FROM billing.credit_note_lines AS nl
    INNER JOIN billing.credit_notes AS n USING (credit_note_id)
    LEFT JOIN billing.invoice_line_items AS li ON nl.invoice_id = li.invoice_id AND nl.invoice_line_no = li.line_no
    WHERE n.state <> 'refused'
) AS l
INNER JOIN billing.invoices AS i USING (invoice_id)
WHERE billing.is_final(i.status)
GROUP BY l.billing_month, l.currency, l.meter;

COMMENT ON VIEW billing.monthly_revenue IS 'One row a month, currency and meter: what final invoices bill, net of credit notes; drafts and void invoices do not count';
COMMENT ON COLUMN billing.monthly_revenue.billing_month IS 'Partition, of a credit note the month of its invoice';
COMMENT ON COLUMN billing.monthly_revenue.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.monthly_revenue.meter IS 'Meter; adjustments for what was not metered, credit notes for what was taken off a whole invoice';
COMMENT ON COLUMN billing.monthly_revenue.customers IS 'Customers with a line of the meter';
COMMENT ON COLUMN billing.monthly_revenue.quantity IS 'Billed units; credit notes take none away';
COMMENT ON COLUMN billing.monthly_revenue.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.monthly_revenue.credited_minor IS 'Sum of the credit notes against them that Stripe has not refused, in minor units';
COMMENT ON COLUMN billing.monthly_revenue.revenue_minor IS 'billed_minor less credited_minor';
