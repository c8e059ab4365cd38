SELECT reason, count(*) AS series, sum(event_count) AS events, min(customer_id) AS for_example
FROM billing.usage_quarantine
WHERE billing_month = :month
GROUP BY reason
ORDER BY reason
