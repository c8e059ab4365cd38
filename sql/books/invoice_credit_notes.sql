-- Grain: a credit note of the invoice :invoice_id.
SELECT
    number,
    state,
    reason_code,
    amount_minor,
    reduction_minor,
    refund_minor,
    balance_minor,
    elsewhere_minor,
    currency,
    author,
    reason,
    stripe_credit_note_id,
    created_at
FROM billing.credit_notes
WHERE invoice_id = cast(:invoice_id AS uuid)
ORDER BY credit_note_number
