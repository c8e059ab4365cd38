-- One row: how far :month has come, from the feed to the books. What its invoices come to: month_result.sql.
SELECT
    (SELECT max(u.complete_through) FROM billing.usage_imports AS u) AS feed_complete_through,
    (SELECT max(p.period_end) FROM billing.billing_periods AS p WHERE p.billing_month = :month) AS last_period_end,
    t.customers,
    t.events,
    t.snapshots,
    t.lines,
    (SELECT count(*) FROM billing.required_gates) AS gates,
    (
        SELECT count(*)
        FROM billing.required_gates AS g
        INNER JOIN billing.asset_months AS m ON g.asset = m.asset AND m.billing_month = :month
        CROSS JOIN
            LATERAL (
                SELECT r.passed
                FROM billing.gate_results AS r
                WHERE r.asset = g.asset AND r.billing_month = :month AND r.version = m.version AND r.check_name = g.check_name
                ORDER BY r.gate_result_id DESC
                LIMIT 1
            ) AS newest
        WHERE newest.passed
    ) AS gates_passed,
    (SELECT f.require_approval FROM billing.finalisation_policy AS f) AS requires_approval,
    (
        SELECT count(DISTINCT a.author)
        FROM billing.month_approvals AS a
        WHERE a.billing_month = :month AND a.month_rows = billing.month_rows(:month)
    ) AS approvals,
    (
        SELECT count(*)
        FROM billing.stripe_event_work AS w
        WHERE w.state IN ('pending', 'waiting')
    ) AS events_waiting,
    (SELECT count(*) FROM billing.stripe_event_work AS w WHERE w.state = 'dead') AS events_dead,
    (SELECT b.closed_at FROM billing.month_books AS b WHERE b.billing_month = :month) AS closed_at
FROM
    (
        SELECT
            coalesce(sum(f.row_count) FILTER (WHERE f.subject = 'customers'), 0)::bigint AS customers,
            coalesce(sum(f.total) FILTER (WHERE f.subject = 'usage_snapshots'), 0)::bigint AS events,
            coalesce(sum(f.row_count) FILTER (WHERE f.subject = 'usage_snapshots'), 0)::bigint AS snapshots,
            coalesce(sum(f.row_count) FILTER (WHERE f.subject = 'invoice_line_items'), 0)::bigint AS lines
        FROM billing.month_figures AS f
        WHERE f.billing_month = :month
    ) AS t
