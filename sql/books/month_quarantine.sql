-- Grain: a reason for which usage of :month was set aside.
SELECT
    reason,
    count(*) AS series,
    sum(event_count)::bigint AS events,
    count(DISTINCT customer_id) AS customers,
    min(customer_id) AS for_example
FROM billing.usage_quarantine
WHERE billing_month = :month
GROUP BY reason
ORDER BY reason
