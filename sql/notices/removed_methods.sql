-- Tells those who are still customers that their last payment method was removed. Grain: one row a customer. After some minutes:
-- who changes a card takes the old one away before the new one is there, and events come in any order.
SELECT
    billing.write_notice(
        'payment_method_removed', l.customer_id, NULL, l.payment_method_id,
        jsonb_build_object('method', billing.payment_method_name(l))
    )
FROM (
    SELECT DISTINCT ON (m.customer_id) m.*
    FROM billing.stripe_payment_methods AS m
    WHERE m.status = 'detached' AND m.changed_at > :now - make_interval(days => :days)
    ORDER BY m.customer_id, m.changed_at DESC, m.payment_method_id
) AS l
INNER JOIN billing.customers AS c USING (customer_id)
WHERE
    c.status <> 'inactive'
    AND l.changed_at <= :now - make_interval(mins => :wait_min)
    AND NOT EXISTS (
        SELECT FROM billing.stripe_payment_methods AS a
        WHERE a.customer_id = l.customer_id AND a.status = 'attached'
    )
    AND NOT EXISTS (
        SELECT FROM billing.notices AS n
        WHERE n.customer_id = l.customer_id AND n.fact = 'payment_method_removed:' || l.payment_method_id
    )
