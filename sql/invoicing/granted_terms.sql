-- Grain: one row a granted term, with how many invoices may still have it beside those of the periods of {periods}; null: any
-- number. Invoices that are void count for nothing.
SELECT
    g.term_id::text AS term_id,
    g.periods_max - (
        SELECT count(*)
        FROM billing.discount_uses AS u
        INNER JOIN billing.invoices AS i ON u.invoice_id = i.invoice_id
        INNER JOIN billing.billing_periods AS b ON i.period_id = b.period_id
        WHERE u.term_id = g.term_id AND i.status <> 'void' AND NOT EXISTS (
                SELECT FROM {periods} AS p
                WHERE p.customer_id = g.customer_id AND p.period_start < b.period_end AND p.period_end > b.period_start
                    AND {which}
            )
    ) AS invoices_left
FROM billing.discount_grants AS g
