-- Grain: a settlement; `approved_by` are those who approved it, the first one first.
SELECT
    s.settlement_id,
    s.billing_month,
    s.customer_id,
    s.amount_minor,
    s.currency,
    s.method,
    s.status,
    s.evidence ->> 'reasons' AS reasons,
    s.approvals_needed,
    coalesce(array_agg(a.author ORDER BY a.approved_at, a.author) FILTER (WHERE a.author IS NOT NULL), '{}') AS approved_by,
    s.proposed_by,
    s.proposed_at
FROM billing.settlements AS s
LEFT JOIN billing.settlement_approvals AS a USING (settlement_id)
WHERE
    (cast(:month AS date) IS NULL OR s.billing_month = :month)
    AND (cast(:ended AS boolean) OR s.status IN ('proposed', 'approved'))
    AND (cast(:customer_id AS text) IS NULL OR s.customer_id = :customer_id)
    AND s.settlement_id > cast(:after AS bigint)
GROUP BY s.settlement_id
ORDER BY s.settlement_id
LIMIT :row_limit
