-- What the month set aside, with the names of the customers.
SELECT q.customer_id, k.name, q.meter, q.dimensions, trim_scale(q.quantity) AS quantity, q.event_count, q.reason
FROM billing.usage_quarantine AS q LEFT JOIN billing.customers AS k USING (customer_id)
WHERE q.billing_month = :month
ORDER BY q.customer_id, q.meter
