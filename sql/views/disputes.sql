-- Grain: one row a dispute of a payment of ours, inquiries too, and what was decided about its money.
CREATE VIEW billing.disputes AS
SELECT
    d.dispute_id,
    i.number,
    i.customer_id,
    i.billing_month,
    d.status,
    d.reason AS bank_reason,
    d.amount_minor,
    d.taken_back_minor,
    d.currency,
    e.decision,
    e.author,
    e.reason,
    e.adjustment_id,
    d.status = 'lost' AND d.taken_back_minor > 0 AND e.dispute_id IS NULL AS waits_for_a_person,
    d.created_at,
    d.stripe_invoice_id,
    i.invoice_id
FROM billing.stripe_disputes AS d
INNER JOIN billing.invoices AS i USING (invoice_id)
LEFT JOIN billing.dispute_decisions AS e USING (dispute_id);

COMMENT ON VIEW billing.disputes IS 'One row a dispute of a payment of ours, or an inquiry about one: what the bank took back, and what was decided about it';
COMMENT ON COLUMN billing.disputes.dispute_id IS 'Stripe''s id (du_…)';
COMMENT ON COLUMN billing.disputes.number IS 'Number of the invoice whose payment is disputed';
COMMENT ON COLUMN billing.disputes.customer_id IS 'Whose';
COMMENT ON COLUMN billing.disputes.billing_month IS 'Partition of the invoice';
COMMENT ON COLUMN billing.disputes.status IS 'Stripe''s status; one that begins with warning_ is an inquiry, by which no money moves';
COMMENT ON COLUMN billing.disputes.bank_reason IS 'Why, in the bank''s words';
COMMENT ON COLUMN billing.disputes.amount_minor IS 'Amount in dispute, in minor units';
COMMENT ON COLUMN billing.disputes.taken_back_minor IS 'What the bank has of it at the moment, in minor units';
COMMENT ON COLUMN billing.disputes.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.disputes.decision IS 'written_off or collect_again; null: nobody has decided, or there is nothing to decide';
COMMENT ON COLUMN billing.disputes.author IS 'Who decided';
COMMENT ON COLUMN billing.disputes.reason IS 'Why';
COMMENT ON COLUMN billing.disputes.adjustment_id IS 'The adjustment that collects it again';
COMMENT ON COLUMN billing.disputes.waits_for_a_person IS 'Whether the money is gone for good and nobody has decided about it';
COMMENT ON COLUMN billing.disputes.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.disputes.stripe_invoice_id IS 'The invoice at Stripe';
COMMENT ON COLUMN billing.disputes.invoice_id IS 'The invoice';
