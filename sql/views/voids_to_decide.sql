-- Grain: one row an invoice that was voided at Stripe and not by us, and about which nobody has decided.
CREATE VIEW billing.voids_to_decide AS
SELECT
    i.number,
    i.customer_id,
    i.billing_month,
    i.total_minor,
    i.currency,
    c.stripe_invoice_id,
    u.reason,
    u.decided_at AS seen_at,
    i.invoice_id
FROM billing.unbilled_periods AS u
INNER JOIN billing.invoices AS i USING (invoice_id)
INNER JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE u.lifted_at IS NULL AND NOT u.decided;

COMMENT ON VIEW billing.voids_to_decide IS 'One row an invoice that was voided at Stripe and not by us: its period is not billed again until a person decides';
COMMENT ON COLUMN billing.voids_to_decide.number IS 'Invoice number';
COMMENT ON COLUMN billing.voids_to_decide.customer_id IS 'Whose';
COMMENT ON COLUMN billing.voids_to_decide.billing_month IS 'Partition';
COMMENT ON COLUMN billing.voids_to_decide.total_minor IS 'What it billed, in minor units';
COMMENT ON COLUMN billing.voids_to_decide.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.voids_to_decide.stripe_invoice_id IS 'The void invoice at Stripe';
COMMENT ON COLUMN billing.voids_to_decide.reason IS 'What was seen there, with the revision that took its place if there is one';
COMMENT ON COLUMN billing.voids_to_decide.seen_at IS 'When it was seen';
COMMENT ON COLUMN billing.voids_to_decide.invoice_id IS 'The invoice';
