-- Grain: one row a month that a charging run came to too early and for which there is something to do now: draft again
-- what is outdated, or charge, when nothing waits any more.
SELECT
    r.billing_month,
    w.outdated > 0 AS redraft,
    CASE
        WHEN w.outdated > 0 THEN 'redraft/' || r.billing_month || '/' || m.known_until
        ELSE 'charge/' || r.billing_month || '/' || d.newest
    END AS key
FROM billing.charge_requests AS r
INNER JOIN billing.asset_months AS m ON r.billing_month = m.billing_month AND m.asset = 'usage_snapshots'
CROSS JOIN
    LATERAL (
        SELECT max(t.drafted_at) AS newest
        FROM billing.invoices AS i
        INNER JOIN billing.draft_times AS t USING (invoice_id)
        WHERE i.billing_month = r.billing_month AND i.status = 'draft'
    ) AS d
CROSS JOIN
    LATERAL (
        SELECT
            count(*) AS waiting,
            count(*) FILTER (WHERE v.reason = 'outdated') AS outdated
        FROM billing.waiting_drafts(r.billing_month, 'schedule') AS v
    ) AS w
WHERE d.newest IS NOT NULL AND (w.outdated > 0 OR w.waiting = 0)
ORDER BY r.billing_month
