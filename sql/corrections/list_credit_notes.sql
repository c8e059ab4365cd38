-- Grain: a credit note, newest first.
SELECT
    n.number,
    i.number AS invoice_number,
    n.customer_id,
    n.billing_month,
    n.amount_minor,
    n.reduction_minor,
    n.refund_minor,
    n.balance_minor,
    n.elsewhere_minor,
    n.currency,
    n.state,
    n.reason_code,
    n.author,
    n.reason,
    n.stripe_credit_note_id,
    n.created_at
FROM billing.credit_notes AS n
INNER JOIN billing.invoices AS i USING (invoice_id)
WHERE
    (n.state = 'parked' OR NOT cast(:parked AS boolean))
    AND (cast(:customer_id AS text) IS NULL OR n.customer_id = :customer_id)
    AND (
        cast(:after AS text) IS NULL
        OR n.credit_note_number < (SELECT a.credit_note_number FROM billing.credit_notes AS a WHERE a.number = :after)
    )
ORDER BY n.credit_note_number DESC
LIMIT :row_limit
