-- Grain: something that :wanted names (an event, customer, invoice or meter), and where its way to an invoice stopped.
WITH events AS (
    SELECT
        e.event_id,
        e.customer_id,
        e.meter,
        e.dimensions,
        e.quantity,
        e.occurred_at,
        p.period_id,
        p.billing_month,
        cu.customer_id IS NOT NULL AS is_known,
        q.reason,
        l.invoice_id,
        exists(SELECT FROM billing.usage_corrections AS k WHERE k.corrects_event_id = e.event_id) AS is_corrected
    FROM billing.usage_events AS e
    LEFT JOIN billing.customers AS cu ON e.customer_id = cu.customer_id
    LEFT JOIN billing.billing_periods AS p
        ON e.customer_id = p.customer_id AND e.occurred_at >= p.period_start AND e.occurred_at < p.period_end
    LEFT JOIN LATERAL (
        SELECT v.reason
        FROM billing.usage_quarantine AS v
        WHERE
            v.customer_id = e.customer_id AND v.meter = e.meter AND v.dimensions = e.dimensions
            AND v.billing_month = coalesce(p.billing_month, date_trunc('month', e.occurred_at AT TIME ZONE 'UTC')::date)
        ORDER BY v.reason
        LIMIT 1
    ) AS q ON TRUE
    LEFT JOIN LATERAL (
        SELECT n.invoice_id
        FROM billing.invoices AS v
        INNER JOIN billing.invoice_line_items AS n ON v.invoice_id = n.invoice_id
        WHERE v.period_id = p.period_id AND n.meter = e.meter AND n.dimensions = e.dimensions
        ORDER BY n.invoice_id
        LIMIT 1
    ) AS l ON TRUE
    WHERE e.event_id = :wanted
)

SELECT
    'event' AS kind,
    format('%s: %s %s of %s at %s', e.event_id, trim_scale(e.quantity), e.meter, e.customer_id, e.occurred_at) AS what,
    CASE
        WHEN NOT e.is_known THEN 'stopped: no customer has this id. Import the customer; the next run bills it'
        WHEN e.is_corrected THEN 'corrected: another event stands in for it'
        WHEN e.reason IS NOT NULL THEN 'stopped: set aside, ' || e.reason
        WHEN e.period_id IS NULL THEN 'waits: its period is not billed yet'
        WHEN e.invoice_id IS NULL THEN 'measured, and on no line: its price bills nothing for it'
        ELSE 'billed'
    END AS state,
    coalesce('/console/invoices/' || e.invoice_id::text, '/console/customers/' || e.customer_id) AS link
FROM events AS e
UNION ALL
SELECT
    'customer', c.customer_id,
    coalesce(
        (
            SELECT format('set aside in %s: %s', to_char(q.billing_month, 'YYYY-MM'), string_agg(DISTINCT q.reason, ', '))
            FROM billing.usage_quarantine AS q
            WHERE q.customer_id = c.customer_id
            GROUP BY q.billing_month
            ORDER BY q.billing_month DESC
            LIMIT 1
        ),
        (
            SELECT 'kept back: ' || h.reason
            FROM billing.holds AS h
            WHERE h.subject_type = 'customer' AND h.subject = c.customer_id AND h.released_at IS NULL
            ORDER BY h.hold_id
            LIMIT 1
        ),
        CASE WHEN billing.is_held_by_dunning(c.customer_id) THEN 'kept back: by dunning, until what is overdue is paid' END,
        (
            SELECT format('newest invoice: %s, %s', to_char(i.billing_month, 'YYYY-MM'), i.status)
            FROM billing.invoices AS i
            WHERE i.customer_id = c.customer_id
            ORDER BY i.billing_month DESC
            LIMIT 1
        ),
        'no invoice yet'
    ),
    '/console/customers/' || c.customer_id
FROM billing.customers AS c
WHERE c.customer_id = :wanted OR lower(c.name) = lower(:wanted) OR lower(c.email) = lower(:wanted)
UNION ALL
SELECT
    'invoice', i.number || ' of ' || i.customer_id, i.status || coalesce(': ' || s.reason, ''), '/console/invoices/' || i.number
FROM billing.invoices AS i
LEFT JOIN billing.stripe_charges AS s USING (invoice_id)
WHERE i.number = upper(:wanted)
UNION ALL
SELECT
    'meter', m.meter, format('%s set aside in %s: %s', count(*), to_char(q.billing_month, 'YYYY-MM'), q.reason),
    '/console/months/' || to_char(q.billing_month, 'YYYY-MM')
FROM billing.meters AS m
INNER JOIN billing.usage_quarantine AS q ON m.meter = q.meter
WHERE m.meter = :wanted
GROUP BY m.meter, q.billing_month, q.reason
LIMIT 50
