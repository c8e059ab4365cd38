-- Grain: one row a month and currency, of final invoices that had something to pay.
CREATE VIEW billing.collection AS
SELECT
    i.billing_month,
    i.currency,
    count(*) AS invoices,
    count(*) FILTER (WHERE i.status = 'paid') AS paid_invoices,
    sum(i.total_minor)::bigint AS invoiced_minor,
    coalesce(sum(k.credited_minor), 0)::bigint AS credited_minor,
    coalesce(sum(p.paid_minor), 0)::bigint AS paid_minor,
    round(100.0 * count(*) FILTER (WHERE i.status = 'paid') / count(*), 2) AS paid_percent,
    round((percentile_cont(0.5) WITHIN GROUP (
        ORDER BY extract(EPOCH FROM p.paid_at - i.finalised_at) / 86400
    ) FILTER (WHERE i.status = 'paid'))::numeric, 2) AS median_days_to_pay
FROM billing.invoices AS i
LEFT JOIN billing.invoice_credits AS k USING (invoice_id)
LEFT JOIN (
    SELECT
        invoice_id,
        sum(paid_minor)::bigint AS paid_minor,
        max(paid_at) AS paid_at
    FROM billing.stripe_payments
    WHERE status = 'paid'
    GROUP BY invoice_id
) AS p USING (invoice_id)
WHERE billing.is_final(i.status) AND i.total_minor > 0
GROUP BY i.billing_month, i.currency;

COMMENT ON VIEW billing.collection IS 'One row a month and currency: how much of what was invoiced was paid, and how fast';
COMMENT ON COLUMN billing.collection.billing_month IS 'Partition';
COMMENT ON COLUMN billing.collection.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.collection.invoices IS 'Final invoices above 0';
COMMENT ON COLUMN billing.collection.paid_invoices IS 'Those that are paid';
COMMENT ON COLUMN billing.collection.invoiced_minor IS 'Sum of their totals';
COMMENT ON COLUMN billing.collection.credited_minor IS 'Credit notes against them';
COMMENT ON COLUMN billing.collection.paid_minor IS 'What came through Stripe';
COMMENT ON COLUMN billing.collection.paid_percent IS 'paid_invoices in percent of invoices';
COMMENT ON COLUMN billing.collection.median_days_to_pay IS 'Median of the days from finalising to the last payment, of those that are paid through Stripe';
