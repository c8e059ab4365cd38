-- Grain: one row a period with a final invoice that differs from what today gives, or was settled.
CREATE VIEW billing.unsettled_drift AS
WITH differences AS (
    SELECT
        d.period_id,
        sum(d.difference_minor) AS drift_minor,
        jsonb_agg(jsonb_build_object(
            'meter', d.meter, 'dimensions', d.dimensions, 'kind', d.kind, 'billed_minor', d.billed_minor,
            'current_minor', d.current_minor, 'difference_minor', d.difference_minor, 'reason', d.reason
        ) ORDER BY d.meter, d.dimensions, d.kind) AS lines,
        string_agg(DISTINCT d.reason, ', ' ORDER BY d.reason) AS reasons
    FROM billing.billing_drift AS d
    GROUP BY d.period_id
),

settled AS (
    SELECT t.period_id, sum(t.amount_minor) AS settled_minor
    FROM (
        SELECT s.period_id, a.amount_minor
        FROM billing.adjustments AS a
        INNER JOIN billing.settlements AS s USING (settlement_id)
        WHERE a.adjustment_id NOT IN (SELECT r.adjustment_id FROM billing.adjustment_revocations AS r)
        UNION ALL
        SELECT s.period_id, -n.amount_minor
        FROM billing.credit_notes AS n
        INNER JOIN billing.settlements AS s USING (settlement_id)
        INNER JOIN billing.invoices AS i ON n.invoice_id = i.invoice_id
        WHERE n.state <> 'refused' AND i.status <> 'void'
    ) AS t
    GROUP BY t.period_id
)

SELECT
    p.billing_month,
    p.customer_id,
    p.period_id,
    p.currency,
    i.invoice_id,
    i.number,
    coalesce(d.drift_minor, 0)::bigint AS drift_minor,
    coalesce(s.settled_minor, 0)::bigint AS settled_minor,
    (coalesce(d.drift_minor, 0) - coalesce(s.settled_minor, 0))::bigint AS left_minor,
    coalesce(d.lines, '[]'::jsonb) AS lines,
    coalesce(d.reasons, 'settled before') AS reasons
FROM billing.billing_periods AS p
INNER JOIN billing.invoices AS i
    ON p.period_id = i.period_id AND i.supplement_no = 0 AND billing.is_final(i.status)
LEFT JOIN differences AS d ON p.period_id = d.period_id
LEFT JOIN settled AS s ON p.period_id = s.period_id
WHERE d.period_id IS NOT NULL OR s.period_id IS NOT NULL;

COMMENT ON VIEW billing.unsettled_drift IS 'One row a billed period that drifted or was settled: the drift, what its settlements came to, and what is left';
COMMENT ON COLUMN billing.unsettled_drift.billing_month IS 'Partition';
COMMENT ON COLUMN billing.unsettled_drift.customer_id IS 'Whose';
COMMENT ON COLUMN billing.unsettled_drift.period_id IS 'The period';
COMMENT ON COLUMN billing.unsettled_drift.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.unsettled_drift.invoice_id IS 'The period''s own final invoice';
COMMENT ON COLUMN billing.unsettled_drift.number IS 'Its number';
COMMENT ON COLUMN billing.unsettled_drift.drift_minor IS 'Today''s amount less the billed one, in minor units, at the last look';
COMMENT ON COLUMN billing.unsettled_drift.settled_minor IS 'Adjustments less credit notes of its settlements; what Stripe refused, what was revoked and what is on a void invoice does not count';
COMMENT ON COLUMN billing.unsettled_drift.left_minor IS 'What is not settled: above zero the customer owes more';
COMMENT ON COLUMN billing.unsettled_drift.lines IS 'The lines that differ';
COMMENT ON COLUMN billing.unsettled_drift.reasons IS 'Why they do';
