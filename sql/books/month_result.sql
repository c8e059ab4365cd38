-- Grain: a state, reason and currency of the invoices of :month. An invoice that is final has its charge's state.
SELECT
    f.state,
    f.reason_code,
    f.currency,
    sum(f.row_count)::bigint AS invoices,
    sum(f.total)::bigint AS amount_minor
FROM billing.month_figures AS f
WHERE f.billing_month = :month AND f.subject = 'invoices'
GROUP BY f.state, f.reason_code, f.currency
HAVING sum(f.row_count) <> 0
ORDER BY f.state, f.reason_code, f.currency
