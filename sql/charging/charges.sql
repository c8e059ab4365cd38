-- Grain: a charge of the chosen ones. Which they are is found in indexes; the rest is looked up for the few that are shown.
WITH chosen AS (
    SELECT c.invoice_id, c.billing_month, i.invoice_number
    FROM billing.stripe_charges AS c
    INNER JOIN billing.invoices AS i ON c.invoice_id = i.invoice_id
    WHERE
        (cast(:any_state AS boolean) OR c.state = any(:states))
        -- says nothing new, but where to look: the invoice of a charge that is not done is open
        AND (
            cast(:any_state AS boolean)
            OR NOT cast(:states AS text[]) <@ ARRAY[
                'intended', 'drafted', 'lines_added', 'finalized', 'refused', 'parked'
            ]
            OR i.status = 'open'
        )
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
)

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
FROM chosen AS k
INNER JOIN billing.stripe_charges AS c ON k.invoice_id = c.invoice_id
INNER JOIN billing.invoices AS i ON k.invoice_id = i.invoice_id
ORDER BY k.billing_month DESC, k.invoice_number
