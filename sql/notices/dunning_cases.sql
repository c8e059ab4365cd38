-- Grain: one row an open case whose payment is refused (all open ones with :refused_only false), the oldest first. `pauses`:
-- promises, holds and open disputes, as [since, until or null]; `done`: the steps that were taken, in their order.
SELECT
    d.invoice_id::text AS invoice_id,
    d.customer_id,
    i.number,
    i.total_minor,
    i.currency,
    i.currency AS book,
    b.plan,
    c.timezone,
    d.track,
    d.begins_at,
    d.level,
    s.state AS charge_state,
    s.reason_code,
    s.bank_payment_id IS NOT NULL AS by_bank,
    f.due_at AS next_retry_at,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(t.day, t.action, t.kind) ORDER BY t.ordinal), '[]')
        FROM billing.dunning_steps AS t WHERE t.invoice_id = d.invoice_id
    ) AS done,
    (SELECT max(t.done_at) FROM billing.dunning_steps AS t WHERE t.invoice_id = d.invoice_id) AS last_done_at,
    (
        SELECT max((t.facts ->> 'suspends_on')::date) FROM billing.dunning_steps AS t WHERE t.invoice_id = d.invoice_id
    ) AS suspends_on,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(p.since, p.until)), '[]')
        FROM (
            SELECT
                r.promised_at AS since,
                least(r.until, lead(r.promised_at) OVER (ORDER BY r.promise_id)) AS until
            FROM billing.dunning_promises AS r WHERE r.customer_id = d.customer_id
            UNION ALL
            SELECT h.placed_at, h.released_at
            FROM billing.holds AS h
            WHERE (h.subject_type, h.subject) IN (
                    ('customer', d.customer_id), ('invoice', d.invoice_id::text), ('month', i.billing_month::text)
                )
            UNION ALL
            SELECT
                q.created_at,
                CASE WHEN q.status IN ('won', 'lost', 'prevented', 'warning_closed') THEN q.changed_at END
            FROM billing.stripe_disputes AS q
            INNER JOIN billing.invoices AS o ON q.invoice_id = o.invoice_id
            WHERE o.customer_id = d.customer_id
        ) AS p
        WHERE p.until IS NULL OR p.until > p.since
    ) AS pauses
FROM billing.dunning_cases AS d
INNER JOIN billing.invoices AS i ON d.invoice_id = i.invoice_id
INNER JOIN billing.billing_periods AS b ON i.period_id = b.period_id
INNER JOIN billing.customers AS c ON d.customer_id = c.customer_id
INNER JOIN billing.stripe_charges AS s ON d.invoice_id = s.invoice_id
LEFT JOIN billing.charge_follow_ups AS f ON d.invoice_id = f.invoice_id AND f.kind = 'pay'
WHERE
    d.closed_at IS NULL
    AND (s.state = 'refused' OR NOT :refused_only)
    AND (cast(:customer_id AS text) IS NULL OR d.customer_id = :customer_id)
ORDER BY d.begins_at, i.invoice_number
