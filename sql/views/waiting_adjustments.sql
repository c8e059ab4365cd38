-- Grain: one row an adjustment that is not, or not wholly, on a live invoice.
CREATE VIEW billing.waiting_adjustments AS
SELECT
    a.adjustment_id,
    a.customer_id,
    a.currency,
    a.amount_minor,
    a.amount_minor - coalesce(u.used_minor, 0) AS left_minor,
    a.description,
    a.reason,
    a.author,
    a.on_supplement,
    a.corrects_period_id,
    a.created_at
FROM billing.adjustments AS a
LEFT JOIN (
    SELECT ia.adjustment_id, sum(ia.amount_minor)::bigint AS used_minor
    FROM billing.invoice_adjustments AS ia
    INNER JOIN billing.invoices AS i USING (invoice_id)
    WHERE i.status <> 'void'
    GROUP BY ia.adjustment_id
) AS u USING (adjustment_id)
WHERE a.amount_minor <> coalesce(u.used_minor, 0)
    AND a.adjustment_id NOT IN (SELECT r.adjustment_id FROM billing.adjustment_revocations AS r);

COMMENT ON VIEW billing.waiting_adjustments IS 'One row an adjustment that waits for an invoice, or a credit of which a part does';
COMMENT ON COLUMN billing.waiting_adjustments.adjustment_id IS 'The adjustment';
COMMENT ON COLUMN billing.waiting_adjustments.customer_id IS 'Whose invoice';
COMMENT ON COLUMN billing.waiting_adjustments.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.waiting_adjustments.amount_minor IS 'All of it, in minor units';
COMMENT ON COLUMN billing.waiting_adjustments.left_minor IS 'What is on no live invoice yet';
COMMENT ON COLUMN billing.waiting_adjustments.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.waiting_adjustments.reason IS 'Why';
COMMENT ON COLUMN billing.waiting_adjustments.author IS 'Who made it';
COMMENT ON COLUMN billing.waiting_adjustments.on_supplement IS 'Whether a supplementary invoice carries it';
COMMENT ON COLUMN billing.waiting_adjustments.corrects_period_id IS 'The period that it corrects, if one';
COMMENT ON COLUMN billing.waiting_adjustments.created_at IS 'When';
