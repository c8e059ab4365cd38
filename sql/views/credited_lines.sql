-- Grain: one row a line of a credit note that Stripe has not refused, or a return of prepaid credits that paid an invoice. What
-- is taken off an invoice after it was final is said here and nowhere else.
CREATE VIEW billing.credited_lines AS
SELECT
    n.invoice_id,
    nl.invoice_line_no,
    n.billing_month,
    n.currency,
    n.customer_id,
    nl.amount_minor
FROM billing.credit_note_lines AS nl
INNER JOIN billing.credit_notes AS n USING (credit_note_id)
WHERE n.state <> 'refused'
UNION ALL
-- what prepaid credits paid and got back is taken off as by a credit note
SELECT e.invoice_id, NULL, i.billing_month, e.currency, e.customer_id, e.amount_minor
FROM billing.credit_entries AS e
INNER JOIN billing.invoices AS i USING (invoice_id)
WHERE e.kind = 'return';

COMMENT ON VIEW billing.credited_lines IS 'One row a line of a credit note that Stripe has not refused, or a return of prepaid credits';
COMMENT ON COLUMN billing.credited_lines.invoice_id IS 'Invoice that it is taken off';
COMMENT ON COLUMN billing.credited_lines.invoice_line_no IS 'Its line; null where it is taken off as a whole';
COMMENT ON COLUMN billing.credited_lines.billing_month IS 'Partition of the invoice';
COMMENT ON COLUMN billing.credited_lines.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.credited_lines.customer_id IS 'Customer';
COMMENT ON COLUMN billing.credited_lines.amount_minor IS 'What is taken off, in minor units';
