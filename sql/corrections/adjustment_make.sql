-- Grain: one row an adjustment that was not made before, with its entry in the audit log.
WITH made AS (
    INSERT INTO billing.adjustments (adjustment_id, customer_id, currency, amount_minor, description, reason, author)
    VALUES (:adjustment_id, :customer_id, :currency, :amount_minor, :description, :reason, :author)
    ON CONFLICT (adjustment_id) DO NOTHING
    RETURNING *
)

SELECT billing.log_action(
    author, 'adjustment.make', 'adjustment', adjustment_id::text, reason,
    state_after => jsonb_build_object('customer_id', customer_id, 'amount_minor', amount_minor, 'currency', currency)
) FROM made
