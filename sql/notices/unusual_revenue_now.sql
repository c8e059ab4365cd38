-- Grain: one row a month that was compared lately and has customers of unusual amounts: how many, and the most unusual one.
SELECT DISTINCT ON (u.billing_month)
    u.billing_month AS month,
    count(*) OVER (PARTITION BY u.billing_month) AS count,
    u.customer_id,
    u.currency,
    u.amount_minor,
    u.usual_minor
FROM billing.unusual_revenue AS u
INNER JOIN billing.revenue_looks AS l ON u.billing_month = l.billing_month AND u.version = l.version
WHERE
    l.looked_at > :now - make_interval(days => :within_d)
    AND l.version = (SELECT max(n.version) FROM billing.revenue_looks AS n WHERE n.billing_month = l.billing_month)
    AND abs(u.spreads) >= :spreads
ORDER BY u.billing_month, abs(u.spreads) DESC, u.customer_id
