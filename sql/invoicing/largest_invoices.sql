-- Ranked within a currency: minor units of different ones do not compare.
SELECT customer_id, name, currency, total_minor, line_count, status
FROM (
    SELECT
        i.customer_id,
        c.name,
        i.currency,
        i.total_minor,
        i.line_count,
        i.status,
        row_number() OVER (PARTITION BY i.currency ORDER BY i.total_minor DESC, i.customer_id) AS place
    FROM billing.invoices AS i
    INNER JOIN billing.customers AS c USING (customer_id)
    WHERE i.billing_month = :month AND i.status <> 'void'
) AS ranked
WHERE place <= 5
ORDER BY currency, place
