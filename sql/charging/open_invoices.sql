SELECT number, customer_id, total_minor, paid_minor, remaining_minor, currency, charge_state AS state, reason_code AS reason
FROM billing.receivables
WHERE billing_month = :month
ORDER BY total_minor DESC, number
LIMIT 20
