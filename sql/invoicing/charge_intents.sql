-- Grain: one row a final invoice of the month that has no charge intent, in the order of the numbers;
-- its lines and adjustments are a JSON array of [line_no, meter, description, amount_minor], null when it has none.
SELECT
    i.invoice_id::text,
    i.number,
    i.customer_id,
    i.billing_month,
    i.currency,
    i.total_minor,
    p.period_start,
    p.period_end,
    p.start_date,
    p.end_date,
    (
        SELECT json_agg(json_build_array(l.line_no, l.meter, l.description, l.amount_minor) ORDER BY l.line_no)
        FROM (
            SELECT li.line_no, li.meter::text AS meter, li.description, li.amount_minor
            FROM billing.invoice_line_items AS li
            WHERE li.invoice_id = i.invoice_id
            UNION ALL
            SELECT ia.line_no, 'adjustments', ia.description, ia.amount_minor
            FROM billing.invoice_adjustments AS ia
            WHERE ia.invoice_id = i.invoice_id
        ) AS l
    ) AS lines
FROM billing.invoices AS i
INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
LEFT JOIN billing.stripe_charges AS c ON i.invoice_id = c.invoice_id
WHERE i.billing_month = %(month)s AND i.status = 'open' AND c.invoice_id IS NULL
ORDER BY i.invoice_number
