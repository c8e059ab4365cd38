-- Meters whose quantity is less than half or more than twice last month's.
SELECT meter, n.quantity, l.quantity AS last_month
FROM (SELECT meter, sum(quantity) AS quantity FROM {batch} GROUP BY meter) AS n
INNER JOIN (
    SELECT s.meter, sum(s.quantity) AS quantity
    FROM billing.usage_snapshots AS s
    WHERE s.billing_month = '{last_month}'
    GROUP BY s.meter
) AS l USING (meter)
WHERE n.quantity NOT BETWEEN l.quantity / 2 AND l.quantity * 2
