-- Ranked within a currency: minor units of different ones do not compare.
SELECT customer_id, currency, last_month_minor, total_minor, change_minor
FROM (
    SELECT
        customer_id,
        currency,
        coalesce(b.total_minor, 0) AS last_month_minor,
        coalesce(n.total_minor, 0) AS total_minor,
        coalesce(n.total_minor, 0) - coalesce(b.total_minor, 0) AS change_minor,
        row_number() OVER (
            PARTITION BY currency
            ORDER BY abs(coalesce(n.total_minor, 0) - coalesce(b.total_minor, 0)) DESC, customer_id
        ) AS place
    FROM (
        SELECT customer_id, currency, sum(total_minor) AS total_minor
        FROM billing.invoices
        WHERE billing_month = :month AND status <> 'void'
        GROUP BY customer_id, currency
    ) AS n
    FULL JOIN (
        SELECT customer_id, currency, sum(total_minor) AS total_minor
        FROM billing.invoices
        WHERE billing_month = :last_month AND status <> 'void'
        GROUP BY customer_id, currency
    ) AS b USING (customer_id, currency)
    WHERE EXISTS (SELECT FROM billing.invoices WHERE billing_month = :last_month)
        AND coalesce(n.total_minor, 0) <> coalesce(b.total_minor, 0)
) AS ranked
WHERE place <= 5
ORDER BY currency, place
