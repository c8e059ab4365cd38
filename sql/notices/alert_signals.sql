-- Grain: one row a thing that operators are told of, as it is at :now: rule, subject, month or null, how many things are so,
-- and the first of them. Thresholds are named after their rule.
WITH attempts AS (
    -- first attempts to collect and payments, as customers were told of them
    SELECT DISTINCT
        n.fact,
        n.kind <> 'payment_succeeded' AS refused,
        n.facts ->> 'reason_code' AS reason_code,
        n.written_at > :now - make_interval(hours => :refusals_above_usual_within_h) AS is_recent
    FROM billing.notices AS n
    WHERE
        n.channel = 'mail' AND n.written_at > :now - interval '90 days'
        AND (
            n.kind = 'payment_succeeded'
            OR (n.kind IN ('payment_failed', 'action_required', 'payment_method_missing') AND n.facts ->> 'attempt' = '1')
        )
),

shares AS (
    SELECT
        count(*) FILTER (WHERE is_recent AND refused) AS refused,
        count(*) FILTER (WHERE is_recent) AS attempts,
        mode() WITHIN GROUP (ORDER BY reason_code) FILTER (WHERE is_recent AND refused) AS reason_code,
        100.0 * count(*) FILTER (WHERE NOT is_recent AND refused)
        / nullif(count(*) FILTER (WHERE NOT is_recent), 0) AS usual_percent
    FROM attempts
),

failed_gates AS (
    SELECT
        g.asset,
        g.check_name,
        m.billing_month,
        r.failing_rows
    FROM billing.required_gates AS g
    INNER JOIN billing.asset_months AS m ON g.asset = m.asset
    CROSS JOIN
        LATERAL (
            SELECT
                t.passed,
                t.failing_rows,
                t.checked_at
            FROM billing.gate_results AS t
            WHERE
                t.asset = g.asset AND t.billing_month = m.billing_month AND t.version = m.version
                AND t.check_name = g.check_name
            ORDER BY t.gate_result_id DESC
            LIMIT 1
        ) AS r
    WHERE
        NOT r.passed AND r.checked_at > :now - make_interval(days => :gate_failed_within_d)
        -- a month is drafted for a look while it runs, and its feed is not complete then
        AND (m.billing_month + interval '1 month 12 hours') AT TIME ZONE 'UTC' <= :now
)

SELECT
    'gate_failed' AS rule,
    to_char(f.billing_month, 'YYYY-MM') AS subject,
    f.billing_month AS month,
    count(*) AS count,
    min(format('%s.%s, %s row(s)', f.asset, f.check_name, f.failing_rows)) AS example
FROM failed_gates AS f
GROUP BY f.billing_month
UNION ALL
SELECT 'charging_stopped', 'all', NULL, 1, format('stopped by %s: %s', b.changed_by, b.reason)
FROM billing.charge_brakes AS b
WHERE NOT b.charges_enabled
UNION ALL
SELECT
    'stripe_unavailable',
    'all',
    NULL,
    1,
    format('%s calls in a row had no answer', b.consecutive_failures)
FROM billing.charge_brakes AS b
WHERE b.probe_at IS NOT NULL
UNION ALL
SELECT 'charges_parked', 'all', NULL, count(*), min(i.number || coalesce(': ' || c.reason_code, ''))
FROM billing.stripe_charges AS c
INNER JOIN billing.invoices AS i USING (invoice_id)
WHERE c.state = 'parked'
HAVING count(*) > 0
UNION ALL
SELECT
    'refusals_above_usual',
    'all',
    NULL,
    s.refused,
    format(
        '%s of %s attempts, usually %s %%, most often %s',
        s.refused, s.attempts, round(coalesce(s.usual_percent, 0), 1), s.reason_code
    )
FROM shares AS s
WHERE
    s.refused >= :refusals_above_usual_at_least
    AND 100.0 * s.refused > s.attempts * greatest(
        :refusals_above_usual_floor_percent, :refusals_above_usual_times * coalesce(s.usual_percent, 0)
    )
UNION ALL
SELECT 'feed_stopped', 'all', NULL, 1, to_char(max(u.received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
FROM billing.usage_imports AS u
WHERE u.source <> 'correction'
HAVING max(u.received_at) < :now - make_interval(hours => :feed_stopped_silent_h)
UNION ALL
SELECT
    'usage_unusual',
    'all',
    NULL,
    count(*),
    (
        array_agg(
            format(
                'customer %s, meter %s, %s UTC: %s, usually %s',
                u.customer_id, u.meter, to_char(u.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), trim_scale(u.quantity),
                trim_scale(round(u.usual_quantity::numeric, 2))
            ) ORDER BY abs(u.spreads) DESC
        )
    )[1]
FROM billing.unusual_usage AS u
WHERE
    u.hour > (SELECT max(l.hour) FROM billing.usage_looks AS l) - make_interval(hours => :usage_unusual_within_h)
    AND abs(u.spreads) >= :usage_unusual_spreads
HAVING count(*) >= :usage_unusual_at_least
UNION ALL
SELECT 'events_dead', 'all', NULL, count(*), min(format('%s: %s', w.event_id, left(w.last_error, 120)))
FROM billing.stripe_event_work AS w
WHERE w.state = 'dead'
HAVING count(*) > 0
UNION ALL
SELECT 'events_late', 'all', NULL, count(*), min(w.event_id)
FROM billing.stripe_event_work AS w
WHERE w.state = 'pending' AND w.pending_since < :now - make_interval(mins => :events_late_late_min)
HAVING count(*) > 0
UNION ALL
SELECT
    'books_differ',
    'all',
    NULL,
    count(*),
    min(format('%s %s: ours %s, Stripe''s %s', d.object_type, d.kind, coalesce(d.ours, 'none'), coalesce(d.theirs, 'none')))
FROM billing.stripe_differences AS d
WHERE d.reconciliation_id = (SELECT max(n.reconciliation_id) FROM billing.stripe_reconciliations AS n)
HAVING count(*) > 0
UNION ALL
SELECT
    'books_not_compared',
    'all',
    NULL,
    1,
    coalesce(
        (
            SELECT to_char(max(n.finished_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
            FROM billing.stripe_reconciliations AS n
        ),
        'the first charge'
    )
FROM billing.stripe_charges AS c
HAVING
    greatest(min(c.created_at), (SELECT max(n.finished_at) FROM billing.stripe_reconciliations AS n))
    < :now - make_interval(hours => :books_not_compared_silent_h)
UNION ALL
SELECT
    'dispute_open',
    d.dispute_id,
    d.billing_month,
    1,
    format('%s, invoice %s of customer %s (%s)', d.dispute_id, d.number, d.customer_id, d.bank_reason)
FROM billing.disputes AS d
WHERE d.status IN ('needs_response', 'warning_needs_response')
UNION ALL
SELECT
    'dispute_lost',
    d.dispute_id,
    d.billing_month,
    1,
    format('%s, invoice %s of customer %s (%s)', d.dispute_id, d.number, d.customer_id, d.bank_reason)
FROM billing.disputes AS d
WHERE d.waits_for_a_person
UNION ALL
SELECT 'refund_failed', 'all', NULL, count(*), min(format('%s of invoice %s', f.refund_id, i.number))
FROM billing.failed_refunds AS f
INNER JOIN billing.invoices AS i USING (invoice_id)
WHERE f.state = 'open'
HAVING count(*) > 0
UNION ALL
SELECT
    CASE s.state = 'failed' WHEN TRUE THEN 'notices_given_up' ELSE 'notices_late' END,
    'all',
    NULL,
    count(*),
    format('%s of customer %s: %s', min(n.notice_id), min(n.customer_id), left(min(s.last_error), 120))
FROM billing.notice_sendings AS s
INNER JOIN billing.notices AS n USING (notice_id)
WHERE
    n.customer_id IS NOT NULL
    AND (
        s.state = 'failed'
        OR (
            s.state IN ('pending', 'claimed', 'handing_over')
            AND s.due_at < :now - make_interval(mins => :notices_late_late_min)
            AND billing.held_notice(n.notice_id, n.customer_id, n.kind) IS NULL
        )
    )
GROUP BY s.state = 'failed'
UNION ALL
SELECT
    'look_failed',
    'all',
    NULL,
    count(*),
    min(format('%s: %s', l.customer_id, l.error))
FROM billing.failed_looks AS l
WHERE l.failed_at > :now - make_interval(mins => :look_failed_within_min)
HAVING count(*) > 0
UNION ALL
SELECT
    'token_expires',
    'all',
    NULL,
    count(*),
    min(format('%s of %s, on %s', t.token_id, t.owner, to_char(t.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')))
FROM billing.api_tokens AS t
WHERE
    t.revoked_at IS NULL
    AND t.expires_at BETWEEN :now AND :now + make_interval(days => :token_expires_within_d)
    -- one that was made for a few days, or that has a successor already, ends as it should
    AND t.expires_at - t.created_at > 2 * make_interval(days => :token_expires_within_d)
    AND NOT EXISTS (SELECT FROM billing.api_tokens AS r WHERE r.replaces = t.token_id)
HAVING count(*) > 0
ORDER BY rule, subject
