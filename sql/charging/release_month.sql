-- Grain: one release of a month's charges up to a number; its entry in the audit log with it.
WITH released AS (
    INSERT INTO billing.charge_releases (billing_month, through_number, canaries, refused, author, reason, run_id)
    VALUES (:month, :through_number, :canaries, :refused, :author, :reason, :run_id)
    RETURNING *
)

SELECT
    billing.log_action(
        author, 'charges.release', 'month', to_char(billing_month, 'YYYY-MM'), reason,
        state_after => jsonb_build_object('through_number', through_number, 'canaries', canaries, 'refused', refused),
        run_id => run_id
    )
FROM released
