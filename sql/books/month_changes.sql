-- Grain: a customer and currency, of the ten whose total moved most from :before to :month in their currency.
SELECT *
FROM (
    SELECT
        i.customer_id,
        c.name AS customer_name,
        i.currency,
        coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :month), 0)::bigint AS total_minor,
        coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :before), 0)::bigint AS before_minor
    FROM billing.invoices AS i
    INNER JOIN billing.customers AS c USING (customer_id)
    WHERE i.billing_month IN (:month, :before) AND i.status <> 'void'
    GROUP BY i.customer_id, c.name, i.currency
) AS t
WHERE total_minor <> before_minor
ORDER BY abs(total_minor - before_minor) DESC, customer_id
LIMIT 10
