-- Grain: one row an active hold, with the invoices of :month (null: of all) that it keeps back.
SELECT h.subject_type AS kind, h.subject, h.author, h.reason, h.placed_at, k.drafts, k.uncharged
FROM billing.holds AS h
CROSS JOIN
    LATERAL (
        SELECT
            count(*) FILTER (WHERE i.status = 'draft') AS drafts,
            count(*) FILTER (WHERE i.status = 'open') AS uncharged
        FROM billing.invoices AS i
        WHERE (h.subject_type, h.subject) IN (
                ('customer', i.customer_id), ('invoice', i.invoice_id::text), ('month', i.billing_month::text)
            )
            AND (cast(:month AS date) IS NULL OR i.billing_month = :month)
    ) AS k
WHERE h.released_at IS NULL AND (
        cast(:month AS date) IS NULL OR k.drafts + k.uncharged > 0 OR h.subject = cast(:month AS text)
    )
ORDER BY h.hold_id
