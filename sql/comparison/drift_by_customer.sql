-- Customers whose billed month is not settled: what settlements have made good is no news any more.
SELECT
    d.customer_id,
    d.currency,
    count(*) AS lines,
    coalesce(sum(d.difference_minor) FILTER (WHERE d.difference_minor > 0), 0) AS undercharged_minor,
    coalesce(sum(d.difference_minor) FILTER (WHERE d.difference_minor < 0), 0) AS overcharged_minor,
    sum(d.difference_minor) AS difference_minor
FROM billing.billing_drift AS d
WHERE d.billing_month = :month
    AND NOT EXISTS (
        SELECT FROM billing.unsettled_drift AS u
        WHERE u.period_id = d.period_id AND u.settled_minor <> 0 AND u.left_minor = 0
    )
GROUP BY d.customer_id, d.currency
ORDER BY abs(sum(d.difference_minor)) DESC, d.customer_id, d.currency
