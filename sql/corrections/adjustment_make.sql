-- Grain: one row an adjustment that was not made before, with its entry in the audit log; with :period_id it is for a
-- supplementary invoice of that period.
WITH made AS (
    INSERT INTO billing.adjustments (
        adjustment_id, customer_id, currency, amount_minor, description, reason, author, corrects_period_id, on_supplement
    ) VALUES (
        :adjustment_id, :customer_id, :currency, :amount_minor, :description, :reason, :author, cast(:period_id AS uuid),
        cast(:period_id AS uuid) IS NOT NULL
    )
    ON CONFLICT (adjustment_id) DO NOTHING
    RETURNING *
)

SELECT billing.log_action(
    author, 'adjustment.make', 'adjustment', adjustment_id::text, reason,
    state_after => jsonb_build_object('customer_id', customer_id, 'amount_minor', amount_minor, 'currency', currency)
) FROM made
