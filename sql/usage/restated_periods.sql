-- Grain: one row a billed period of :month whose usage as of :as_of, in pg_temp.measured, is not what its newest version
-- says, with the number that the next version gets.
WITH newest AS (
    SELECT
        p.period_id,
        coalesce(v.snapshot_version, 1) AS snapshot_version,
        coalesce(v.as_of, (
            SELECT max(s.as_of) FROM billing.usage_snapshots AS s WHERE s.period_id = p.period_id
        ), '-infinity') AS as_of
    FROM pg_temp.measured_periods AS p
    LEFT JOIN LATERAL (
        SELECT
            x.snapshot_version,
            x.as_of
        FROM billing.snapshot_versions AS x
        WHERE x.period_id = p.period_id
        ORDER BY x.snapshot_version DESC
        LIMIT 1
    ) AS v ON TRUE
),

known AS (
    SELECT s.period_id, s.meter, s.dimensions, s.quantity, s.event_count, s.basis
    FROM billing.current_snapshots AS s
    WHERE s.billing_month = :month AND s.period_id IN (SELECT p.period_id FROM pg_temp.measured_periods AS p)
),

found AS (
    SELECT m.period_id, m.meter, m.dimensions, m.quantity, m.event_count, m.basis FROM pg_temp.measured AS m
),

gone AS (
    SELECT * FROM known
    EXCEPT ALL
    SELECT * FROM found
),

come AS (
    SELECT * FROM found
    EXCEPT ALL
    SELECT * FROM known
),

differing AS (
    SELECT gone.period_id FROM gone
    UNION
    SELECT come.period_id FROM come
)

SELECT
    n.period_id,
    n.snapshot_version + 1 AS snapshot_version
FROM differing
INNER JOIN newest AS n USING (period_id)
WHERE n.as_of <= :as_of
