-- Grain: one row a grant of a coupon, the oldest first, with what it took off invoices that are final and not void.
SELECT
    g.coupon,
    g.customer_id,
    t.effective_from AS from_on,
    t.until_on,
    g.periods_max,
    count(i.invoice_id) AS invoices,
    coalesce(-sum(l.amount_minor), 0)::bigint AS discounted_minor,
    t.currency,
    g.author,
    g.reason,
    g.granted_at
FROM billing.discount_grants AS g
INNER JOIN billing.terms AS t USING (term_id)
LEFT JOIN billing.discount_uses AS u USING (term_id)
LEFT JOIN billing.invoices AS i ON u.invoice_id = i.invoice_id AND i.status <> 'void'
LEFT JOIN billing.invoice_line_items AS l ON i.invoice_id = l.invoice_id AND g.term_id = l.term_id
WHERE (cast(:coupon AS text) IS NULL OR g.coupon = :coupon)
    AND (cast(:customer_id AS text) IS NULL OR g.customer_id = :customer_id)
GROUP BY g.term_id, t.term_id
ORDER BY g.granted_at, g.coupon
