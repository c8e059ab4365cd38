-- Grain: one decision about a lost dispute, with its entry in the audit log.
WITH decided AS (
    INSERT INTO billing.dispute_decisions (
        dispute_id, invoice_id, customer_id, amount_minor, currency, decision, adjustment_id, author, reason
    )
    VALUES (
        :dispute_id, :invoice_id, :customer_id, :amount_minor, :currency, :decision, cast(:adjustment_id AS uuid), :author,
        :reason
    )
    RETURNING *
)

SELECT
    billing.log_action(
        author, 'dispute.decide', 'dispute', dispute_id, reason,
        state_after => jsonb_build_object(
            'decision', decision, 'invoice_id', invoice_id, 'amount_minor', amount_minor, 'currency', currency,
            'adjustment_id', adjustment_id
        )
    )
FROM decided
