-- Grain: one row: the kill switch, whether this is the database of the last reconciliation, and whether this very
-- session holds the advisory lock :key.
SELECT
    b.charges_enabled,
    b.changed_by,
    b.reason,
    b.incarnation = billing.database_incarnation() AS same_database,
    (
        SELECT count(*) > 0
        FROM pg_locks AS l
        WHERE
            l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND (l.classid::bigint << 32) | l.objid::bigint = :key
    ) AS locked
FROM billing.charge_brakes AS b
