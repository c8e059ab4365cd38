-- Grain: one final invoice, in the order of their numbers: what our books say became of its money, in its minor units.
WITH paid AS (
    SELECT
        invoice_id,
        sum(paid_minor)::bigint AS paid_minor
    FROM billing.stripe_payments
    GROUP BY invoice_id
),

refunded AS (
    SELECT
        invoice_id,
        sum(amount_minor)::bigint AS refunded_minor
    FROM billing.stripe_refunds
    WHERE status NOT IN ('failed', 'canceled')
    GROUP BY invoice_id
),

credited AS (
    SELECT
        invoice_id,
        sum(total_minor)::bigint AS credited_minor
    FROM billing.stripe_credit_notes
    WHERE status = 'issued'
    GROUP BY invoice_id
),

lost AS (
    SELECT
        invoice_id,
        sum(amount_minor)::bigint AS lost_in_disputes_minor
    FROM billing.stripe_disputes
    WHERE status = 'lost'
    GROUP BY invoice_id
)

SELECT
    i.invoice_id::text AS invoice_id,
    i.number,
    i.customer_id,
    i.status,
    c.stripe_invoice_id,
    b.closed_at IS NOT NULL AS is_closed,
    coalesce(p.paid_minor, 0) AS paid_minor,
    coalesce(r.refunded_minor, 0) AS refunded_minor,
    coalesce(n.credited_minor, 0) AS credited_minor,
    coalesce(l.lost_in_disputes_minor, 0) AS lost_in_disputes_minor
FROM billing.invoices AS i
INNER JOIN billing.stripe_charges AS c USING (invoice_id)
LEFT JOIN billing.month_books AS b ON i.billing_month = b.billing_month
LEFT JOIN paid AS p USING (invoice_id)
LEFT JOIN refunded AS r USING (invoice_id)
LEFT JOIN credited AS n USING (invoice_id)
LEFT JOIN lost AS l USING (invoice_id)
ORDER BY i.invoice_number
