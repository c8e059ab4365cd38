-- Grain: one invoice, with its entry in the audit log.
WITH returned AS (
    SELECT billing.return_credits(cast(:id AS uuid), :amount, :author, :reason) AS amount_minor
)

SELECT
    r.amount_minor,
    billing.log_action(
        :author, 'credits.return', 'invoice', cast(:id AS text), :reason,
        state_after => jsonb_build_object('amount_minor', r.amount_minor)
    ) AS log_id
FROM returned AS r
