-- Grain: a reason for which usage of :month was set aside, and a currency; null for customers that are unknown.
SELECT
    reason,
    c.currency,
    sum(worth_minor)::bigint AS worth_minor,
    count(*) AS series,
    sum(event_count)::bigint AS events,
    count(DISTINCT q.customer_id) AS customers,
    min(q.customer_id) AS for_example
FROM billing.usage_quarantine AS q
LEFT JOIN billing.customers AS c ON q.customer_id = c.customer_id
WHERE billing_month = :month
GROUP BY reason, c.currency
ORDER BY reason, c.currency
