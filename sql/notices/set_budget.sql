-- Grain: the one budget that :customer has of :meter (null: of the amount), made or changed, with its entry in the audit log;
-- no row: it was so already.
WITH old AS (
    SELECT b.*
    FROM billing.budgets AS b
    WHERE b.customer_id = :customer AND b.meter IS NOT DISTINCT FROM :meter AND b.ended_at IS NULL
    FOR UPDATE
),

done AS (
    INSERT INTO billing.budgets AS b
    (customer_id, meter, limit_minor, currency, limit_quantity, thresholds_percent, author, reason)
    SELECT :customer, :meter, :limit_minor, :currency, :limit_quantity, :thresholds, :author, :reason
    -- what was before is read and locked first
    WHERE (SELECT count(*) FROM old) >= 0
    ON CONFLICT (customer_id, meter) WHERE ended_at IS NULL DO UPDATE
        SET
            limit_minor = excluded.limit_minor,
            currency = excluded.currency,
            limit_quantity = excluded.limit_quantity,
            thresholds_percent = excluded.thresholds_percent,
            author = excluded.author,
            reason = excluded.reason,
            changed_at = clock_timestamp()
        WHERE
        (b.limit_minor, b.currency, b.limit_quantity, b.thresholds_percent)
        IS DISTINCT FROM
        (excluded.limit_minor, excluded.currency, excluded.limit_quantity, excluded.thresholds_percent)
    RETURNING b.*
)

SELECT
    billing.log_action(
        d.author,
        'budget.set',
        'customer',
        d.customer_id,
        d.reason,
        (SELECT to_jsonb(o) FROM old AS o),
        to_jsonb(d)
    )
FROM done AS d
