-- Invoices whose total or count is not that of their lines and adjustments, and either without an invoice.
SELECT coalesce(b.customer_id, l.customer_id) AS customer_id, b.total_minor, l.total AS sum_of_lines
FROM (SELECT * FROM {batch}) AS b
FULL JOIN (
    SELECT invoice_id, customer_id, sum(amount_minor) AS total, count(*) AS line_count
    FROM (
        SELECT li.invoice_id, li.customer_id, li.amount_minor
        FROM billing.invoice_line_items AS li
        WHERE li.billing_month = '{month}'
        UNION ALL
        SELECT ia.invoice_id, ia.customer_id, ia.amount_minor
        FROM billing.invoice_adjustments AS ia
        WHERE ia.billing_month = '{month}'
    ) AS parts
    GROUP BY invoice_id, customer_id
) AS l USING (invoice_id)
WHERE b.total_minor IS DISTINCT FROM l.total OR b.line_count IS DISTINCT FROM l.line_count
    OR b.customer_id IS DISTINCT FROM l.customer_id
