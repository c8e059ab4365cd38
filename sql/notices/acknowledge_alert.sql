-- :author takes an alert on that is open and that nobody has; no row: there is none.
WITH taken AS (
    UPDATE billing.alerts
    SET acknowledged_at = clock_timestamp(), acknowledged_by = :author, acknowledge_reason = :reason
    WHERE alert_id = :alert_id AND resolved_at IS NULL AND acknowledged_at IS NULL
    RETURNING *
),

logged AS (
    SELECT billing.log_action(:author, 'alert.acknowledge', 'alert', t.alert_id::text, :reason) FROM taken AS t
)

SELECT t.* FROM taken AS t CROSS JOIN logged
