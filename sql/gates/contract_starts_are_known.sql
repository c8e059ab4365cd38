-- Customers whose first billed period is in the month, though nobody said when their contract starts.
SELECT k.customer_id, k.starts_on
FROM billing.contracts AS k
INNER JOIN billing.billing_periods AS p ON k.customer_id = p.customer_id AND k.starts_on = p.start_date
WHERE k.start_inferred AND p.billing_month = '{month}'
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND billing.is_final(i.status))
