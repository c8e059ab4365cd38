-- Grain: one row an invoice that is finalised and not paid or void. It may be paid in part.
CREATE VIEW billing.receivables AS
SELECT
    i.billing_month,
    i.number,
    i.customer_id,
    c.name AS customer_name,
    i.total_minor,
    i.credits_minor,
    coalesce(k.credited_minor, 0) AS credited_minor,
    coalesce(p.paid_minor, 0) AS paid_minor,
    greatest(i.due_minor - coalesce(k.credited_minor, 0) - coalesce(p.paid_minor, 0), 0) AS remaining_minor,
    i.currency,
    i.status,
    s.state AS charge_state,
    s.reason_code,
    s.reason,
    s.attempt,
    s.stripe_invoice_id,
    i.finalised_at
FROM billing.invoices AS i
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.stripe_charges AS s USING (invoice_id)
LEFT JOIN billing.invoice_credits AS k USING (invoice_id)
LEFT JOIN (
    SELECT
        invoice_id,
        sum(paid_minor)::bigint AS paid_minor
    FROM billing.stripe_payments
    WHERE status = 'paid'
    GROUP BY invoice_id
) AS p USING (invoice_id)
WHERE i.status IN ('open', 'uncollectible');

COMMENT ON VIEW billing.receivables IS 'One row a finalised invoice that is not paid, and why';
COMMENT ON COLUMN billing.receivables.billing_month IS 'Partition';
COMMENT ON COLUMN billing.receivables.number IS 'Invoice number';
COMMENT ON COLUMN billing.receivables.customer_id IS 'Who owes';
COMMENT ON COLUMN billing.receivables.customer_name IS 'Name on the invoice';
COMMENT ON COLUMN billing.receivables.credits_minor IS 'What prepaid credits paid of it, in minor units';
COMMENT ON COLUMN billing.receivables.total_minor IS 'Amount in minor units';
COMMENT ON COLUMN billing.receivables.credited_minor IS 'Credit notes against it, in minor units: what is due is less by them';
COMMENT ON COLUMN billing.receivables.paid_minor IS 'What has come by payments at Stripe, in minor units: an invoice may be paid in parts';
COMMENT ON COLUMN billing.receivables.remaining_minor IS 'What is due: the total without credit notes and payments, in minor units';
COMMENT ON COLUMN billing.receivables.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.receivables.status IS 'open or uncollectible';
COMMENT ON COLUMN billing.receivables.charge_state IS 'State of the charge';
COMMENT ON COLUMN billing.receivables.reason_code IS 'Why it is refused or parked';
COMMENT ON COLUMN billing.receivables.reason IS 'The same in words';
COMMENT ON COLUMN billing.receivables.attempt IS 'Payment attempts so far';
COMMENT ON COLUMN billing.receivables.stripe_invoice_id IS 'Invoice at Stripe';
COMMENT ON COLUMN billing.receivables.finalised_at IS 'Since when';
