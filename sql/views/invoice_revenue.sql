-- Grain: one row a final invoice and meter. What revenue is, is said here and nowhere else: the other views add it up.
CREATE VIEW billing.invoice_revenue AS
SELECT
    l.billing_month,
    l.currency,
    l.customer_id,
    l.invoice_id,
    l.meter,
    p.plan,
    billing.months_covered(p.period_start, p.period_end) AS months,
    sum(l.quantity) AS quantity,
    bool_or(l.is_line) AS has_lines,
    sum(l.billed_minor)::bigint AS billed_minor,
    sum(l.credited_minor)::bigint AS credited_minor,
    sum(l.billed_minor - l.credited_minor)::bigint AS revenue_minor
FROM (
    SELECT
        li.billing_month, li.currency, li.meter::text AS meter, li.customer_id, li.quantity, TRUE AS is_line,
        li.amount_minor AS billed_minor, 0::bigint AS credited_minor, li.invoice_id
    FROM billing.invoice_line_items AS li
    UNION ALL
    SELECT ia.billing_month, ia.currency, 'adjustments', ia.customer_id, 1, TRUE, ia.amount_minor, 0, ia.invoice_id
    FROM billing.invoice_adjustments AS ia
    -- what is collected a second time, because a bank took it back, was earned before
    WHERE NOT EXISTS (SELECT FROM billing.dispute_decisions AS e WHERE e.adjustment_id = ia.adjustment_id)
    UNION ALL
    SELECT
        k.billing_month, k.currency, coalesce(li.meter, 'credit notes'), k.customer_id, 0, FALSE, 0, k.amount_minor, k.invoice_id
    FROM billing.credited_lines AS k
    LEFT JOIN billing.invoice_line_items AS li ON k.invoice_id = li.invoice_id AND k.invoice_line_no = li.line_no
) AS l
INNER JOIN billing.invoices AS i USING (invoice_id)
INNER JOIN billing.billing_periods AS p USING (period_id)
WHERE billing.is_final(i.status)
GROUP BY l.billing_month, l.currency, l.customer_id, l.invoice_id, l.meter, p.plan, p.period_start, p.period_end;

COMMENT ON VIEW billing.invoice_revenue IS 'One row a final invoice and meter: what it bills, net of credit notes; drafts and void invoices do not count';
COMMENT ON COLUMN billing.invoice_revenue.billing_month IS 'Partition, of a credit note the month of its invoice';
COMMENT ON COLUMN billing.invoice_revenue.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.invoice_revenue.customer_id IS 'Customer';
COMMENT ON COLUMN billing.invoice_revenue.invoice_id IS 'Invoice';
COMMENT ON COLUMN billing.invoice_revenue.meter IS 'Meter; adjustments for what was not metered (but for what is collected again after a lost dispute), credit notes for what was taken off a whole invoice';
COMMENT ON COLUMN billing.invoice_revenue.plan IS 'Plan of the period; null without one';
COMMENT ON COLUMN billing.invoice_revenue.months IS 'Months that the period covers, at least 1: a yearly one 12';
COMMENT ON COLUMN billing.invoice_revenue.quantity IS 'Billed units; credit notes take none away';
COMMENT ON COLUMN billing.invoice_revenue.has_lines IS 'Whether the invoice has a line of it, and not a credit note alone';
COMMENT ON COLUMN billing.invoice_revenue.billed_minor IS 'Sum of the lines in minor units';
COMMENT ON COLUMN billing.invoice_revenue.credited_minor IS 'Sum of the credit notes against them that Stripe has not refused, and of prepaid credits that came back, in minor units';
COMMENT ON COLUMN billing.invoice_revenue.revenue_minor IS 'billed_minor less credited_minor';
