-- Grain: one decision that a revision at Stripe bills the period of :invoice_id, with its entry in the audit log.
WITH decided AS (
    INSERT INTO billing.unbilled_periods (
        period_id, invoice_id, author, reason, adopted_stripe_invoice_id, adopted_total_minor
    )
    SELECT period_id, invoice_id, :author, :reason, :stripe_invoice_id, :total_minor
    FROM billing.invoices WHERE invoice_id = cast(:invoice_id AS uuid)
    RETURNING *
)

SELECT
    billing.log_action(
        author, 'period.adopt_revision', 'invoice', invoice_id::text, reason,
        state_after => jsonb_build_object(
            'period_id', period_id, 'stripe_invoice_id', adopted_stripe_invoice_id, 'total_minor', adopted_total_minor
        )
    )
FROM decided
