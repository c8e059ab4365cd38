-- Grain: one row an invoice that is finalised and not paid or void, or whose payment a bank took back and about which
-- nobody has decided. It may be paid in part.
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
    CASE
        WHEN i.status = 'paid' THEN 0
        ELSE greatest(i.due_minor - coalesce(k.credited_minor, 0) - coalesce(p.paid_minor, 0), 0)
    END + coalesce(t.taken_back_minor, 0) AS remaining_minor,
    i.currency,
    i.status,
    s.state AS charge_state,
    s.reason_code,
    s.reason,
    s.attempt,
    s.stripe_invoice_id,
    i.finalised_at,
    coalesce(t.taken_back_minor, 0) AS taken_back_minor,
    t.dispute_status
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
LEFT JOIN (
    SELECT
        d.invoice_id,
        sum(d.taken_back_minor)::bigint AS taken_back_minor,
        min(d.status) AS dispute_status
    FROM billing.stripe_disputes AS d
    WHERE d.taken_back_minor > 0 AND NOT EXISTS (SELECT FROM billing.dispute_decisions AS e WHERE e.dispute_id = d.dispute_id)
    GROUP BY d.invoice_id
) AS t USING (invoice_id)
WHERE i.status IN ('open', 'uncollectible') OR t.taken_back_minor > 0;

COMMENT ON VIEW billing.receivables IS 'One row a finalised invoice that is not paid, or whose payment a bank took back, and why';
COMMENT ON COLUMN billing.receivables.billing_month IS 'Partition';
COMMENT ON COLUMN billing.receivables.number IS 'Invoice number';
COMMENT ON COLUMN billing.receivables.customer_id IS 'Who owes';
COMMENT ON COLUMN billing.receivables.customer_name IS 'Name on the invoice';
COMMENT ON COLUMN billing.receivables.credits_minor IS 'What prepaid credits paid of it, in minor units';
COMMENT ON COLUMN billing.receivables.total_minor IS 'Amount in minor units';
COMMENT ON COLUMN billing.receivables.credited_minor IS 'Credit notes against it, in minor units: what is due is less by them';
COMMENT ON COLUMN billing.receivables.paid_minor IS 'What has come by payments at Stripe, in minor units: an invoice may be paid in parts';
COMMENT ON COLUMN billing.receivables.remaining_minor IS 'What is due: the total without prepaid credits, credit notes and payments, and what a bank took back of these, in minor units';
COMMENT ON COLUMN billing.receivables.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.receivables.status IS 'open, uncollectible, or paid where a bank took the money back';
COMMENT ON COLUMN billing.receivables.charge_state IS 'State of the charge';
COMMENT ON COLUMN billing.receivables.reason_code IS 'Why it is refused or parked';
COMMENT ON COLUMN billing.receivables.reason IS 'The same in words';
COMMENT ON COLUMN billing.receivables.attempt IS 'Payment attempts so far';
COMMENT ON COLUMN billing.receivables.stripe_invoice_id IS 'Invoice at Stripe';
COMMENT ON COLUMN billing.receivables.finalised_at IS 'Since when';
COMMENT ON COLUMN billing.receivables.taken_back_minor IS 'What banks took back by disputes, in minor units, as long as nobody has decided about it';
COMMENT ON COLUMN billing.receivables.dispute_status IS 'Status of that dispute: while it is open the bank may give the money back; lost: a person decides; null: no bank took anything back';
