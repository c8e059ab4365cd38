-- Grain: one release of a month's charges up to a number; its entry in the audit log with it.
WITH released AS (
    INSERT INTO billing.charge_releases (billing_month, through_number, canaries, refused, author, reason, run_id)
    VALUES (:month, :through_number, :canaries, :refused, :author, :reason, :run_id)
    RETURNING *
)

INSERT INTO billing.automation_log (actor, run_id, action, object_type, object_id, reason, state_after)
SELECT
    r.author, r.run_id, 'charges.release', 'month', to_char(r.billing_month, 'YYYY-MM'), r.reason,
    jsonb_build_object('through_number', r.through_number, 'canaries', r.canaries, 'refused', r.refused)
FROM released AS r
