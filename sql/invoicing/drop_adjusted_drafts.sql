-- Grain: one row a draft of :month whose adjustments are not those of pg_temp.wanted_adjustments; of :customer alone, if it
-- is not null.
DELETE FROM billing.invoices AS i
WHERE i.billing_month = :month AND i.status = 'draft' AND i.supplement_no = 0
    AND i.invoice_id IN (
        SELECT d.invoice_id
        FROM (
            (
                SELECT w.invoice_id, w.line_no, w.adjustment_id, w.amount_minor
                FROM pg_temp.wanted_adjustments AS w
                EXCEPT ALL
                SELECT ia.invoice_id, ia.line_no, ia.adjustment_id, ia.amount_minor
                FROM billing.invoice_adjustments AS ia
                WHERE ia.billing_month = :month AND (cast(:customer AS text) IS NULL OR ia.customer_id = :customer)
            )
            UNION ALL
            (
                SELECT ia.invoice_id, ia.line_no, ia.adjustment_id, ia.amount_minor
                FROM billing.invoice_adjustments AS ia
                WHERE ia.billing_month = :month AND (cast(:customer AS text) IS NULL OR ia.customer_id = :customer)
                EXCEPT ALL
                SELECT w.invoice_id, w.line_no, w.adjustment_id, w.amount_minor
                FROM pg_temp.wanted_adjustments AS w
            )
        ) AS d
    )
