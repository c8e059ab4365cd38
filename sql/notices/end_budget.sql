-- Grain: the budget that :customer had of :meter (null: of the amount), ended; no row: there was none.
WITH done AS (
    UPDATE billing.budgets
    SET ended_at = clock_timestamp(), author = :author, reason = :reason, changed_at = clock_timestamp()
    WHERE customer_id = :customer AND meter IS NOT DISTINCT FROM :meter AND ended_at IS NULL
    RETURNING *
)

SELECT
    billing.log_action(
        d.author, 'budget.end', 'customer', d.customer_id, d.reason, to_jsonb(d) - 'ended_at'
    )
FROM done AS d
