-- Customers of the month who have neither an invoice nor a reason for having none.
SELECT c.customer_id, c.reason
FROM billing.invoice_coverage('{month}') AS c
LEFT JOIN (SELECT DISTINCT customer_id FROM {batch}) AS b USING (customer_id)
WHERE b.customer_id IS NULL AND c.reason IS NULL
