-- Grain: one row a proposal, with its entry in the audit log.
WITH proposed AS (
    INSERT INTO billing.settlements (
        billing_month, customer_id, period_id, currency, amount_minor, method, pay_back, evidence, proposed_by
    ) VALUES (
        :billing_month, :customer_id, :period_id, :currency, :amount_minor, :method, :pay_back, cast(:evidence AS jsonb),
        :author
    )
    RETURNING *
)

SELECT billing.log_action(
    proposed_by, 'settlement.propose', 'settlement', settlement_id::text,
    state_after => jsonb_build_object(
        'customer_id', customer_id, 'billing_month', billing_month, 'amount_minor', amount_minor, 'method', method
    )
) FROM proposed
