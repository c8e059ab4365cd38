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
    array(
        SELECT a.author
        FROM billing.settlement_approvals AS a
        WHERE a.settlement_id = s.settlement_id
        ORDER BY a.approved_at, a.author
    ) AS approved_by,
    s.proposed_by,
    s.proposed_at
FROM billing.settlements AS s
WHERE
    (cast(:month AS date) IS NULL OR s.billing_month = :month)
    AND (cast(:ended AS boolean) OR s.status IN ('proposed', 'approved'))
ORDER BY s.settlement_id
