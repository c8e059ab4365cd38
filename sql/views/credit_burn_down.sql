-- Grain: one row an entry of the ledger of prepaid credits, with what the customer had after it.
CREATE VIEW billing.credit_burn_down AS
SELECT
    e.entry_id,
    e.customer_id,
    e.currency,
    e.entered_at,
    e.kind,
    g.description,
    i.number AS invoice_number,
    e.amount_minor,
    (sum(e.amount_minor) OVER (PARTITION BY e.customer_id, e.currency ORDER BY e.entry_id))::bigint AS balance_minor,
    e.author,
    e.reason,
    e.grant_id,
    e.invoice_id
FROM billing.credit_entries AS e
INNER JOIN billing.credit_grants AS g USING (grant_id)
LEFT JOIN billing.invoices AS i USING (invoice_id);

COMMENT ON VIEW billing.credit_burn_down IS 'One row an entry of the ledger of prepaid credits, with the customer''s balance after it';
COMMENT ON COLUMN billing.credit_burn_down.entry_id IS 'Order of writing';
COMMENT ON COLUMN billing.credit_burn_down.customer_id IS 'Whose credits';
COMMENT ON COLUMN billing.credit_burn_down.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.credit_burn_down.entered_at IS 'When';
COMMENT ON COLUMN billing.credit_burn_down.kind IS 'grant, draw, return, expire or void';
COMMENT ON COLUMN billing.credit_burn_down.description IS 'Text of the grant';
COMMENT ON COLUMN billing.credit_burn_down.invoice_number IS 'Number of the invoice that drew it or gave it back';
COMMENT ON COLUMN billing.credit_burn_down.amount_minor IS 'In minor units; below zero it left the grant';
COMMENT ON COLUMN billing.credit_burn_down.balance_minor IS 'What the customer had in this currency after the entry';
COMMENT ON COLUMN billing.credit_burn_down.author IS 'Who did it';
COMMENT ON COLUMN billing.credit_burn_down.reason IS 'Why, where a person did it';
COMMENT ON COLUMN billing.credit_burn_down.grant_id IS 'The grant';
COMMENT ON COLUMN billing.credit_burn_down.invoice_id IS 'The invoice';
