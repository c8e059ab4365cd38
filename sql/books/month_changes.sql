-- Grain: a customer and currency, of the five of each currency whose total moved most from :before to :month: minor units
-- of two currencies do not compare. With the meter whose lines moved most.
WITH moved AS (
    SELECT
        i.customer_id,
        i.currency,
        coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :month), 0)::bigint AS total_minor,
        coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :before), 0)::bigint AS before_minor
    FROM billing.invoices AS i
    WHERE i.billing_month IN (:month, :before) AND i.status <> 'void'
    GROUP BY i.customer_id, i.currency
),

ranked AS (
    SELECT
        m.*,
        row_number() OVER (
            PARTITION BY m.currency
            ORDER BY abs(m.total_minor - m.before_minor) DESC, m.customer_id
        ) AS place
    FROM moved AS m
    WHERE m.total_minor <> m.before_minor
)

SELECT
    r.customer_id,
    c.name AS customer_name,
    r.currency,
    r.total_minor,
    r.before_minor,
    l.meter,
    l.change_minor AS meter_change_minor
FROM ranked AS r
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN LATERAL (
    SELECT
        li.meter,
        sum(CASE WHEN i.billing_month = :month THEN li.amount_minor ELSE -li.amount_minor END)::bigint AS change_minor
    FROM billing.invoices AS i
    INNER JOIN billing.invoice_line_items AS li USING (invoice_id)
    WHERE
        i.customer_id = r.customer_id AND i.currency = r.currency
        AND i.billing_month IN (:month, :before) AND i.status <> 'void'
    GROUP BY li.meter
    ORDER BY abs(sum(CASE WHEN i.billing_month = :month THEN li.amount_minor ELSE -li.amount_minor END)) DESC, li.meter
    LIMIT 1
) AS l ON l.change_minor <> 0
WHERE r.place <= 5
ORDER BY r.currency, r.place
