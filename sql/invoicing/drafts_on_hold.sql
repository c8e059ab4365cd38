-- Grain: one row a customer and reason whose draft of :month is on hold; of several reasons the narrowest.
SELECT DISTINCT
    CASE
        WHEN c.status = 'on_hold' OR h.subject_type = 'customer' THEN 'on_hold'
        WHEN billing.is_held_by_dunning(i.customer_id) THEN 'held_by_dunning'
        ELSE h.subject_type || '_on_hold'
    END AS reason,
    i.customer_id
FROM billing.invoices AS i
INNER JOIN billing.customers AS c ON i.customer_id = c.customer_id
LEFT JOIN LATERAL (
    SELECT held.subject_type
    FROM billing.holds AS held
    WHERE held.released_at IS NULL
        AND (held.subject_type, held.subject) IN (
            ('customer', i.customer_id), ('invoice', i.invoice_id::text), ('month', i.billing_month::text)
        )
    ORDER BY array_position(ARRAY['customer', 'invoice', 'month'], held.subject_type)
    LIMIT 1
) AS h ON TRUE
WHERE i.billing_month = :month AND i.status = 'draft'
    AND i.invoice_id IN (SELECT k.invoice_id FROM billing.held_invoices(:month) AS k)
ORDER BY reason, i.customer_id
