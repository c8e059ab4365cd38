-- Grain: one credit note of :invoice_id.
INSERT INTO billing.credit_notes (
    credit_note_id, invoice_id, customer_id, billing_month, invoice_total_minor, currency, amount_minor, line_count,
    reduction_minor, refund_minor, balance_minor, elsewhere_minor, paid_minor, credit_note_number, reason, author,
    request_body, settlement_id
)
SELECT
    cast(:credit_note_id AS uuid), i.invoice_id, i.customer_id, i.billing_month, i.due_minor, i.currency,
    :amount_minor, :line_count, :reduction_minor, :refund_minor, :balance_minor, :elsewhere_minor, :paid_minor,
    :credit_note_number, :reason, :author, :request_body, cast(:settlement_id AS bigint)
FROM billing.invoices AS i WHERE i.invoice_id = :invoice_id
