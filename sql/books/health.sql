-- One row: what somebody on call looks at first.
SELECT
    (SELECT max(u.received_at) FROM billing.usage_imports AS u) AS usage_came_at,
    (SELECT max(u.complete_through) FROM billing.usage_imports AS u) AS feed_complete_through,
    (SELECT count(*) FROM billing.stripe_event_work AS w WHERE w.state IN ('pending', 'waiting')) AS events_waiting,
    (SELECT min(w.pending_since) FROM billing.stripe_event_work AS w WHERE w.state = 'pending') AS oldest_event_since,
    (SELECT count(*) FROM billing.stripe_event_work AS w WHERE w.state = 'dead') AS events_dead,
    (SELECT count(*) FROM billing.stripe_charges AS c WHERE c.state = 'parked') AS parked,
    (SELECT count(*) FROM billing.stripe_charges AS c WHERE c.state = 'refused') AS refused,
    (SELECT max(r.finished_at) FROM billing.stripe_reconciliations AS r) AS compared_at,
    (
        SELECT count(*)
        FROM billing.stripe_differences AS d
        WHERE d.reconciliation_id = (SELECT max(n.reconciliation_id) FROM billing.stripe_reconciliations AS n)
    ) AS differences,
    (SELECT l.logged_at FROM billing.automation_log AS l ORDER BY l.log_id DESC LIMIT 1) AS active_at
