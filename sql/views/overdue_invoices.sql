-- Grain: one row an unpaid invoice that dunning counts: since when, how far it has come, and what is still due of it.
CREATE VIEW billing.overdue_invoices AS
SELECT
    i.billing_month,
    i.number,
    d.customer_id,
    r.remaining_minor,
    i.currency,
    d.track,
    d.begins_at AS counted_from,
    d.level,
    s.state AS charge_state,
    s.reason_code,
    t.done_at AS last_step_at,
    coalesce(nullif(t.kind, ''), t.action) AS last_step,
    t.course
FROM billing.dunning_cases AS d
INNER JOIN billing.invoices AS i USING (invoice_id)
INNER JOIN billing.stripe_charges AS s USING (invoice_id)
INNER JOIN billing.receivables AS r USING (number)
LEFT JOIN LATERAL (
    SELECT
        u.done_at,
        u.kind,
        u.action,
        u.course
    FROM billing.dunning_steps AS u
    WHERE u.invoice_id = d.invoice_id
    ORDER BY u.ordinal DESC
    LIMIT 1
) AS t ON TRUE
WHERE d.closed_at IS NULL;

COMMENT ON VIEW billing.overdue_invoices IS 'One row an unpaid invoice that dunning counts, with what was done last: docs/dunning.md';
COMMENT ON COLUMN billing.overdue_invoices.billing_month IS 'Partition';
COMMENT ON COLUMN billing.overdue_invoices.number IS 'Invoice number';
COMMENT ON COLUMN billing.overdue_invoices.customer_id IS 'Who owes';
COMMENT ON COLUMN billing.overdue_invoices.remaining_minor IS 'What is still due of it, in minor units';
COMMENT ON COLUMN billing.overdue_invoices.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.overdue_invoices.track IS 'after_refusal or after_due_date';
COMMENT ON COLUMN billing.overdue_invoices.counted_from IS 'Day 0 of dunning';
COMMENT ON COLUMN billing.overdue_invoices.level IS 'none, past_due, in_grace or suspended: how far it has brought its customer';
COMMENT ON COLUMN billing.overdue_invoices.charge_state IS 'Of its charge: dunning goes on while it is refused';
COMMENT ON COLUMN billing.overdue_invoices.reason_code IS 'Why it was refused';
COMMENT ON COLUMN billing.overdue_invoices.last_step_at IS 'When the last step was taken; null: none yet';
COMMENT ON COLUMN billing.overdue_invoices.last_step IS 'The last step: an action, or the kind of a mail';
COMMENT ON COLUMN billing.overdue_invoices.course IS 'Course of the policy that it was on then';
