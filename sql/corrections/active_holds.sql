-- Grain: one row an active hold, with the invoices of :month (null: of all) that it keeps back.
SELECT h.subject_type AS kind, h.subject, h.author, h.reason, h.placed_at, k.drafts, k.uncharged
FROM billing.holds AS h
CROSS JOIN
    LATERAL (
        SELECT sum(r.drafts)::bigint AS drafts, sum(r.uncharged)::bigint AS uncharged
        FROM (
            SELECT count(*) FILTER (WHERE i.status = 'draft'), count(*) FILTER (WHERE i.status = 'open')
            FROM billing.invoices AS i
            WHERE h.subject_type = 'customer' AND i.customer_id = h.subject
                AND (cast(:month AS date) IS NULL OR i.billing_month = :month)
            UNION ALL
            SELECT count(*) FILTER (WHERE i.status = 'draft'), count(*) FILTER (WHERE i.status = 'open')
            FROM billing.invoices AS i
            WHERE i.invoice_id = CASE WHEN h.subject_type = 'invoice' THEN h.subject::uuid END
                AND (cast(:month AS date) IS NULL OR i.billing_month = :month)
            UNION ALL
            SELECT
                coalesce(sum(f.row_count) FILTER (WHERE f.state = 'draft'), 0),
                coalesce(sum(f.row_count) FILTER (WHERE f.state NOT IN ('draft', 'paid', 'void', 'uncollectible')), 0)
            FROM billing.month_figures AS f
            WHERE f.billing_month = CASE WHEN h.subject_type = 'month' THEN h.subject::date END
                AND f.subject = 'invoices' AND (cast(:month AS date) IS NULL OR f.billing_month = :month)
        ) AS r (drafts, uncharged)
    ) AS k
WHERE h.released_at IS NULL AND (
        cast(:month AS date) IS NULL OR k.drafts + k.uncharged > 0 OR h.subject = cast(:month AS text)
    )
ORDER BY h.hold_id
