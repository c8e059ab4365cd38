-- Grain: one grant that was not made before, with its entry in the audit log.
WITH granted AS (
    INSERT INTO billing.credit_grants (
        grant_id, customer_id, currency, kind, amount_minor, priority, expires_on, description, author, reason
    ) VALUES (
        cast(:grant_id AS uuid), :customer_id, :currency, :kind, :amount_minor, :priority, :expires_on, :description, :author,
        :reason
    )
    ON CONFLICT (grant_id) DO NOTHING
    RETURNING *
)

SELECT billing.log_action(
    author, 'credits.grant', 'credit_grant', grant_id::text, reason,
    state_after => jsonb_build_object('customer_id', customer_id, 'amount_minor', amount_minor, 'currency', currency)
) FROM granted
