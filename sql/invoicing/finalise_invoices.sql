-- Grain: one row a draft of :month that becomes final; what is on hold or in pg_temp.waiting_drafts stays a draft.
-- Numbers go on from :last_number, in the order of customers and periods, so that the same drafts always get the same numbers.
WITH numbered AS (
    SELECT
        i.invoice_id,
        row_number() OVER (ORDER BY i.customer_id COLLATE "C", p.period_start, i.supplement_no, i.revision) AS nth
    FROM billing.invoices AS i
    INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
    WHERE i.billing_month = :month AND i.status = 'draft'
        AND NOT EXISTS (SELECT FROM billing.held_invoices(:month) AS h WHERE h.invoice_id = i.invoice_id)
        AND NOT EXISTS (SELECT FROM pg_temp.waiting_drafts AS w WHERE w.invoice_id = i.invoice_id)
)

UPDATE billing.invoices AS i
SET
    status = 'open', invoice_number = :last_number + n.nth, finalised_at = clock_timestamp(), finalised_by = :started_by,
    finalised_through = :through
FROM numbered AS n
WHERE i.invoice_id = n.invoice_id AND i.status = 'draft'
