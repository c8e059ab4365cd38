-- Grain: a state and reason of charges: how many, of all months. Drafts have no charge.
SELECT
    f.state,
    f.reason_code,
    sum(f.row_count)::bigint AS charges
FROM billing.month_figures AS f
WHERE f.subject = 'invoices' AND f.state <> 'draft'
GROUP BY f.state, f.reason_code
HAVING sum(f.row_count) <> 0
ORDER BY f.state, f.reason_code
