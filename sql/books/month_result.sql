-- Grain: a state, reason and currency of the invoices of :month. An invoice that is final has its charge's state.
SELECT
    coalesce(c.state, i.status) AS state,
    c.reason_code,
    i.currency,
    count(*) AS invoices,
    sum(i.total_minor)::bigint AS amount_minor
FROM billing.invoices AS i
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE i.billing_month = :month
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
