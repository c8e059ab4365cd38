-- Periods with more than one invoice that is not void.
SELECT customer_id, period_id, count(*) AS invoices
FROM {batch}
WHERE status <> 'void'
GROUP BY customer_id, period_id
HAVING count(*) > 1
