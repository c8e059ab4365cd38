-- Grain: one grant of which something is left, with its entry in the audit log.
WITH source AS (
    SELECT g.* FROM billing.credit_grants AS g
    WHERE g.grant_id = cast(:id AS uuid) AND g.balance_minor > 0
    FOR UPDATE
),

voided AS (
    INSERT INTO billing.credit_entries (grant_id, customer_id, currency, kind, amount_minor, author, reason)
    SELECT s.grant_id, s.customer_id, s.currency, 'void', -s.balance_minor, :author, :reason
    FROM source AS s
    RETURNING grant_id, amount_minor
)

SELECT
    -v.amount_minor AS taken_minor,
    billing.log_action(:author, 'credits.void', 'credit_grant', v.grant_id::text, :reason) AS log_id
FROM voided AS v
