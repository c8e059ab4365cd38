-- Periods with more than one invoice that is not void; supplementary ones are counted by their number.
SELECT customer_id, period_id, supplement_no, count(*) AS invoices
FROM {batch}
WHERE status <> 'void'
GROUP BY customer_id, period_id, supplement_no
HAVING count(*) > 1
