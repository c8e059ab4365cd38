-- Grain: one row a granted discount that a draft of :month has, locked: of two months at once the second sees what the first
-- used, and leaves its draft to be drafted again.
SELECT g.term_id
FROM billing.discount_grants AS g
WHERE g.term_id IN (
        SELECT l.term_id
        FROM billing.invoice_line_items AS l
        INNER JOIN billing.invoices AS i ON l.invoice_id = i.invoice_id
        WHERE l.billing_month = :month AND l.term_id IS NOT NULL AND i.status = 'draft'
    )
ORDER BY g.term_id
FOR UPDATE
