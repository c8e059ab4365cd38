-- Grain: a thing that happened to the customer :customer_id, of one of :kinds, the oldest first. What has no instant of
-- its own stands at that of what it follows from: a draft at its period's end.
WITH invoices AS (
    SELECT
        i.*,
        p.period_end,
        coalesce(i.number, 'draft ' || i.invoice_id::text) AS label
    FROM billing.invoices AS i
    INNER JOIN billing.billing_periods AS p USING (period_id)
    WHERE i.customer_id = :customer_id
),

happened AS (
    SELECT
        c.imported_at AS occurred_at,
        'customer' AS kind,
        'imported: ' || c.name || ', ' || c.billing_cycle || ' in ' || c.timezone AS what,
        NULL::text AS invoice,
        NULL::bigint AS amount_minor,
        c.currency::text AS currency,
        NULL::text AS actor,
        NULL::text AS reason
    FROM billing.customers AS c
    WHERE c.customer_id = :customer_id
    UNION ALL
    SELECT
        k.starts_on::timestamp AT TIME ZONE c.timezone,
        'contract',
        CASE WHEN k.in_trial THEN 'trial begins' ELSE 'contract begins' END
        || coalesce(', plan ' || k.plan, '') || coalesce(', until ' || k.ends_on, ''),
        NULL, NULL, c.currency, NULL, NULL
    FROM billing.contracts AS k
    INNER JOIN billing.customers AS c USING (customer_id)
    WHERE k.customer_id = :customer_id AND isfinite(k.starts_on)
    UNION ALL
    SELECT
        p.period_start,
        'period',
        format('%s to %s, billed with %s', p.start_date, p.end_date - 1, to_char(p.billing_month, 'YYYY-MM')),
        NULL, NULL, p.currency, NULL, NULL
    FROM billing.billing_periods AS p
    WHERE p.customer_id = :customer_id
    UNION ALL
    SELECT
        coalesce(i.finalised_at, i.period_end),
        'invoice',
        CASE WHEN i.number IS NULL THEN 'draft' ELSE 'finalised' END
        || CASE WHEN i.revision > 0 THEN ', revision ' || i.revision ELSE '' END
        || CASE WHEN i.status IN ('void', 'uncollectible') THEN ', now ' || i.status ELSE '' END,
        i.label, i.total_minor, i.currency, i.run_id, NULL
    FROM invoices AS i
    UNION ALL
    SELECT
        c.updated_at,
        'payment',
        'charge is ' || c.state || ', attempt ' || c.attempt,
        i.label, c.amount_minor, c.currency, NULL, coalesce(c.reason_code, c.reason)
    FROM billing.stripe_charges AS c
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        coalesce(p.paid_at, p.created_at),
        'payment',
        'payment ' || p.payment_id || ' ' || p.status,
        i.label, coalesce(p.paid_minor, p.requested_minor), p.currency, 'Stripe', NULL
    FROM billing.stripe_payments AS p
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        r.created_at,
        'payment',
        'refund ' || r.refund_id || ' ' || r.status,
        i.label, r.amount_minor, r.currency, 'Stripe', r.reason
    FROM billing.stripe_refunds AS r
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        f.noticed_at,
        'payment',
        'refund ' || f.refund_id || ' failed' || CASE WHEN f.state = 'settled' THEN ', repaid since' ELSE '' END,
        i.label, f.amount_minor, f.currency, f.author, f.reason
    FROM billing.failed_refunds AS f
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        d.created_at,
        'payment',
        'dispute ' || d.dispute_id || ' ' || d.status || coalesce(', ' || d.decision, ''),
        i.label, d.amount_minor, d.currency, coalesce(d.author, 'Stripe'), coalesce(d.reason, d.bank_reason)
    FROM billing.disputes AS d
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        n.created_at,
        'correction',
        'credit note ' || n.number || ' ' || n.state,
        i.label, n.amount_minor, n.currency, n.author, n.reason
    FROM billing.credit_notes AS n
    INNER JOIN invoices AS i USING (invoice_id)
    UNION ALL
    SELECT
        a.created_at,
        'correction',
        'adjustment' || CASE WHEN r.revoked_at IS NULL THEN '' ELSE ', revoked since' END,
        NULL, a.amount_minor, a.currency, a.author, a.reason
    FROM billing.adjustments AS a
    LEFT JOIN billing.adjustment_revocations AS r USING (adjustment_id)
    WHERE a.customer_id = :customer_id
    UNION ALL
    SELECT
        s.proposed_at,
        'correction',
        format('settlement %s of %s, %s', s.settlement_id, to_char(s.billing_month, 'YYYY-MM'), s.status),
        NULL, s.amount_minor, s.currency, s.proposed_by, s.end_reason
    FROM billing.settlements AS s
    WHERE s.customer_id = :customer_id
    UNION ALL
    SELECT
        e.received_at,
        'correction',
        'usage of ' || e.meter || CASE WHEN u.removes THEN ' removed' ELSE ' corrected: ' || trim_scale(e.quantity) END,
        NULL, NULL, NULL, u.author, u.reason
    FROM billing.usage_corrections AS u
    INNER JOIN billing.usage_events AS e USING (event_id)
    WHERE e.customer_id = :customer_id
    UNION ALL
    SELECT
        h.placed_at,
        'hold',
        h.subject_type || ' put on hold',
        i.label, NULL, NULL, h.author, h.reason
    FROM billing.holds AS h
    LEFT JOIN invoices AS i ON h.subject = i.invoice_id::text
    WHERE
        (h.subject_type = 'customer' AND h.subject = :customer_id)
        OR (h.subject_type = 'invoice' AND i.invoice_id IS NOT NULL)
    UNION ALL
    SELECT
        h.released_at,
        'hold',
        h.subject_type || ' released',
        i.label, NULL, NULL, h.released_by, h.release_reason
    FROM billing.holds AS h
    LEFT JOIN invoices AS i ON h.subject = i.invoice_id::text
    WHERE
        h.released_at IS NOT NULL
        AND (
            (h.subject_type = 'customer' AND h.subject = :customer_id)
            OR (h.subject_type = 'invoice' AND i.invoice_id IS NOT NULL)
        )
    UNION ALL
    SELECT
        coalesce(z.sent_at, n.written_at),
        'notice',
        replace(n.kind, '_', ' ') || ': ' || z.state,
        -- not what the mail server said: it may name people
        i.label, NULL, NULL, NULL, NULL
    FROM billing.notices AS n
    INNER JOIN billing.notice_sendings AS z USING (notice_id)
    LEFT JOIN invoices AS i USING (invoice_id)
    WHERE n.customer_id = :customer_id AND n.channel = 'mail'
    UNION ALL
    SELECT
        t.changed_at,
        'standing',
        'stands as ' || replace(t.state, '_', ' '),
        i.label, NULL, NULL, NULL, NULL
    FROM billing.standing_history AS t
    LEFT JOIN invoices AS i USING (invoice_id)
    WHERE t.customer_id = :customer_id
    UNION ALL
    SELECT
        e.received_at,
        'event',
        e.type || ' ' || e.event_id,
        i.label, NULL, NULL, 'Stripe', NULL
    FROM invoices AS i
    INNER JOIN billing.stripe_charges AS c USING (invoice_id)
    INNER JOIN billing.stripe_events AS e ON c.stripe_invoice_id = e.object_id
    UNION ALL
    SELECT
        g.logged_at,
        'audit',
        g.action,
        o.label, NULL, NULL, g.actor, g.reason
    FROM (
        SELECT
            'customer' AS object_type,
            :customer_id AS object_id,
            NULL AS label
        UNION ALL
        SELECT
            'invoice',
            i.invoice_id::text,
            i.label
        FROM invoices AS i
        UNION ALL
        SELECT
            'credit_note',
            n.credit_note_id::text,
            n.number
        FROM billing.credit_notes AS n
        WHERE n.customer_id = :customer_id
        UNION ALL
        SELECT
            'adjustment',
            a.adjustment_id::text,
            NULL
        FROM billing.adjustments AS a
        WHERE a.customer_id = :customer_id
        UNION ALL
        SELECT
            'settlement',
            s.settlement_id::text,
            NULL
        FROM billing.settlements AS s
        WHERE s.customer_id = :customer_id
    ) AS o
    INNER JOIN billing.automation_log AS g USING (object_type, object_id)
)

SELECT
    occurred_at,
    kind,
    what,
    invoice,
    amount_minor,
    currency,
    actor,
    reason
FROM happened
WHERE kind = any(cast(:kinds AS text[]))
ORDER BY occurred_at, kind, invoice, what
