-- Grain: one row a final invoice of the month that has no charge intent, in the order of the numbers;
-- its lines, adjustments and draws of prepaid credits are
-- a JSON array of [line_no, meter, description, amount_minor, kind, how it was priced], null
-- when it has none. Exact decimals are texts: a JSON number would be read as a float.
SELECT
    i.invoice_id::text,
    i.number,
    i.customer_id,
    i.billing_month,
    i.currency,
    i.due_minor,
    p.period_start,
    p.period_end,
    p.start_date,
    p.end_date,
    (
        SELECT
            json_agg(
                json_build_array(l.line_no, l.meter, l.description, l.amount_minor, l.kind, l.priced) ORDER BY l.line_no
            )
        FROM (
            SELECT
                li.line_no,
                li.meter::text AS meter,
                li.description,
                li.amount_minor,
                li.kind,
                json_build_object(
                    'quantity', li.quantity::text, 'included_quantity', li.included_quantity::text,
                    'unit_amount', li.unit_amount::text, 'model', r.model, 'tier_no', r.tier_no,
                    'tier_from', r.tier_from::text, 'tier_up_to', r.tier_up_to::text, 'package_size', r.package_size::text
                ) AS priced
            FROM billing.invoice_line_items AS li
            LEFT JOIN billing.prices AS r USING (price_id)
            WHERE li.invoice_id = i.invoice_id
            UNION ALL
            SELECT ia.line_no, 'adjustments', ia.description, ia.amount_minor, 'adjustment', '{}'
            FROM billing.invoice_adjustments AS ia
            WHERE ia.invoice_id = i.invoice_id
            UNION ALL
            SELECT e.line_no, 'prepaid credits', g.description, e.amount_minor, 'credit', '{}'
            FROM billing.credit_entries AS e
            INNER JOIN billing.credit_grants AS g USING (grant_id)
            WHERE e.invoice_id = i.invoice_id AND e.kind = 'draw'
        ) AS l
    ) AS lines
FROM billing.invoices AS i
INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
LEFT JOIN billing.stripe_charges AS c ON i.invoice_id = c.invoice_id
WHERE i.billing_month = %(month)s AND i.status = 'open' AND c.invoice_id IS NULL
ORDER BY i.invoice_number
