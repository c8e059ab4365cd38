SELECT
    i.number,
    c.customer_id,
    c.billing_month,
    c.amount_minor,
    c.currency,
    c.state,
    c.attempt,
    c.reason_code,
    c.updated_at,
    c.outcome_unknown_since,
    c.stripe_invoice_id,
    (
        SELECT min(f.due_at)
        FROM billing.charge_follow_ups AS f
        WHERE f.invoice_id = c.invoice_id
    ) AS due_at
FROM billing.stripe_charges AS c
INNER JOIN billing.invoices AS i ON c.invoice_id = i.invoice_id
WHERE
    (cast(:any_state AS boolean) OR c.state = any(:states))
    AND (
        cast(:after_month AS date) IS NULL
        OR c.billing_month < :after_month
        OR (c.billing_month = :after_month AND i.number > :after_number)
    )
    AND (cast(:month AS date) IS NULL OR c.billing_month = :month)
    AND (cast(:customer_id AS text) IS NULL OR c.customer_id = :customer_id)
    AND (cast(:reason_code AS text) IS NULL OR c.reason_code = :reason_code)
ORDER BY c.billing_month DESC, i.invoice_number
LIMIT :row_limit
