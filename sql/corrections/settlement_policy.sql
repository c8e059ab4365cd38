-- Grain: one row: the policy of :scope, with its entry in the audit log.
WITH policy AS (
    INSERT INTO billing.settlement_policies AS p
    (scope_type, scope, method, pay_back, threshold_minor, two_people_above_minor, author)
    VALUES (:scope_type, :scope, :method, :pay_back, :threshold_minor, :two_people_above_minor, :author)
    ON CONFLICT (scope_type, scope) DO UPDATE
        SET
            method = excluded.method, pay_back = excluded.pay_back, threshold_minor = excluded.threshold_minor,
            two_people_above_minor = excluded.two_people_above_minor, author = excluded.author
    RETURNING *
)

SELECT billing.log_action(author, 'settlement.policy', scope_type, scope, state_after => to_jsonb(policy)) FROM policy
