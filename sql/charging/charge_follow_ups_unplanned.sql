-- Grain: one row a charge that lacks a follow-up: without a definite answer and never asked about, or refused in an
-- attempt that no retry is planned for. `since` is when it was left, `retries_made` how many retries came before,
-- `by_bank` whether a bank refused it, `plan` that of the billing period, `book` the currency of its price book.
SELECT
    c.invoice_id::text AS invoice_id,
    'ask' AS kind,
    c.attempt,
    c.reason_code,
    c.updated_at AS since,
    c.outcome_unknown_since IS NOT NULL AS outcome_unknown,
    0 AS retries_made,
    FALSE AS by_bank,
    c.customer_id,
    NULL AS plan,
    c.currency AS book
FROM billing.stripe_charges AS c
WHERE
    c.state IN ('intended', 'drafted', 'lines_added', 'finalized')
    AND NOT c.billing_month = any(:busy_months)
    AND NOT EXISTS (SELECT 1 FROM billing.charge_follow_ups AS f WHERE f.invoice_id = c.invoice_id AND f.kind = 'ask')
UNION ALL
SELECT
    c.invoice_id::text,
    'pay',
    c.attempt,
    c.reason_code,
    c.updated_at,
    FALSE,
    coalesce(f.step + 1, 0),
    c.bank_payment_id IS NOT NULL,
    c.customer_id,
    p.plan,
    c.currency
FROM billing.stripe_charges AS c
INNER JOIN billing.invoices AS i ON c.invoice_id = i.invoice_id
INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
LEFT JOIN billing.charge_follow_ups AS f ON c.invoice_id = f.invoice_id AND f.kind = 'pay'
WHERE c.state = 'refused' AND f.attempt IS DISTINCT FROM c.attempt
