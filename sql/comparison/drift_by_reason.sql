SELECT
    reason,
    count(*) AS lines,
    count(DISTINCT customer_id) AS customers,
    currency,
    sum(difference_minor) AS difference_minor
FROM billing.billing_drift
WHERE billing_month = :month
GROUP BY reason, currency
ORDER BY abs(sum(difference_minor)) DESC, reason, currency
