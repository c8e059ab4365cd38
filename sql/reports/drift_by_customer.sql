SELECT
    customer_id,
    currency,
    count(*) AS lines,
    coalesce(sum(difference_minor) FILTER (WHERE difference_minor > 0), 0) AS undercharged_minor,
    coalesce(sum(difference_minor) FILTER (WHERE difference_minor < 0), 0) AS overcharged_minor,
    sum(difference_minor) AS difference_minor
FROM billing.billing_drift
WHERE billing_month = :month
GROUP BY customer_id, currency
ORDER BY abs(sum(difference_minor)) DESC, customer_id COLLATE "C", currency
