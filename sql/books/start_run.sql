-- Grain: the run, if none of its job, month and customer runs; its entry in the audit log with it. None: another one runs.
WITH started AS (
    INSERT INTO billing.started_runs (run_id, billing_month, job, author, reason, customer_id)
    VALUES (cast(:run_id AS uuid), :month, :job, :author, :reason, :customer)
    ON CONFLICT DO NOTHING
    RETURNING run_id, billing_month, job, author, reason, customer_id
)

SELECT
    billing.log_action(
        author, 'month.start_run', 'month', billing_month::text, reason,
        state_after => jsonb_strip_nulls(jsonb_build_object('job', job, 'customer', customer_id)), run_id => run_id::text
    )
FROM started
