-- Lines in another currency than their invoice, and drafts in another currency than their customer's.
SELECT b.customer_id, b.currency AS invoice_currency, l.currency AS line_currency, c.currency AS customer_currency
FROM (SELECT * FROM {batch}) AS b
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.invoice_line_items AS l ON b.invoice_id = l.invoice_id AND b.currency <> l.currency
WHERE l.invoice_id IS NOT NULL OR (b.status = 'draft' AND b.currency <> c.currency)
