-- Grain: the run, if none of its job and month runs; its entry in the audit log with it. None: another one runs.
WITH started AS (
    INSERT INTO billing.started_runs (run_id, billing_month, job, author, reason)
    VALUES (cast(:run_id AS uuid), :month, :job, :author, :reason)
    ON CONFLICT DO NOTHING
    RETURNING run_id, billing_month, job, author, reason
)

SELECT
    billing.log_action(
        author, 'month.start_run', 'month', billing_month::text, reason,
        state_after => jsonb_build_object('job', job), run_id => run_id::text
    )
FROM started
