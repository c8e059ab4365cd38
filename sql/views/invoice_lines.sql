-- Grain: one row a line or adjustment of an invoice, as the customer reads it.
CREATE VIEW billing.invoice_lines AS
SELECT
    l.billing_month,
    l.customer_id,
    c.name AS customer_name,
    i.number AS invoice_number,
    i.status,
    p.start_date AS period_from,
    p.end_date - 1 AS period_to,
    l.line_no,
    l.description,
    trim_scale(l.usage_quantity) AS usage_quantity,
    trim_scale(l.included_quantity) AS included_quantity,
    trim_scale(l.quantity) AS quantity,
    trim_scale(l.unit_amount) AS unit_amount,
    trim_scale(l.exact_amount) AS exact_amount,
    l.amount_minor,
    l.currency,
    l.price_version,
    l.basis,
    l.meter,
    l.dimensions,
    l.invoice_id
FROM billing.invoice_line_items AS l
INNER JOIN billing.customers AS c USING (customer_id)
INNER JOIN billing.billing_periods AS p USING (period_id)
LEFT JOIN billing.invoices AS i USING (invoice_id)
UNION ALL
SELECT
    a.billing_month,
    a.customer_id,
    c.name,
    i.number,
    i.status,
    p.start_date,
    p.end_date - 1,
    a.line_no,
    a.description,
    0,
    0,
    1,
    NULL,
    NULL,
    a.amount_minor,
    a.currency,
    NULL,
    'adjustment',
    'adjustments',
    '{}',
    a.invoice_id
FROM billing.invoice_adjustments AS a
INNER JOIN billing.customers AS c USING (customer_id)
INNER JOIN billing.billing_periods AS p USING (period_id)
INNER JOIN billing.invoices AS i USING (invoice_id);

COMMENT ON VIEW billing.invoice_lines IS 'One row a line or adjustment, with the customer''s name, the period''s days and quantities without trailing zeros';
COMMENT ON COLUMN billing.invoice_lines.billing_month IS 'Partition';
COMMENT ON COLUMN billing.invoice_lines.customer_id IS 'Who pays';
COMMENT ON COLUMN billing.invoice_lines.customer_name IS 'Name on the invoice';
COMMENT ON COLUMN billing.invoice_lines.invoice_number IS 'Number, once finalised';
COMMENT ON COLUMN billing.invoice_lines.status IS 'Status of the invoice; null before it is drafted';
COMMENT ON COLUMN billing.invoice_lines.period_from IS 'First day of the period in the customer''s time zone';
COMMENT ON COLUMN billing.invoice_lines.period_to IS 'Last day of the period in the customer''s time zone';
COMMENT ON COLUMN billing.invoice_lines.line_no IS 'Place on the invoice';
COMMENT ON COLUMN billing.invoice_lines.description IS 'Text of the line';
COMMENT ON COLUMN billing.invoice_lines.usage_quantity IS 'Measured usage that the line covers';
COMMENT ON COLUMN billing.invoice_lines.included_quantity IS 'Part of it covered by the allowance';
COMMENT ON COLUMN billing.invoice_lines.quantity IS 'Billed units';
COMMENT ON COLUMN billing.invoice_lines.unit_amount IS 'Rate in major units; null for an adjustment';
COMMENT ON COLUMN billing.invoice_lines.exact_amount IS 'quantity times unit_amount; null for an adjustment';
COMMENT ON COLUMN billing.invoice_lines.amount_minor IS 'Rounded once, in minor units';
COMMENT ON COLUMN billing.invoice_lines.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.invoice_lines.price_version IS 'Version of the price book; null for an adjustment';
COMMENT ON COLUMN billing.invoice_lines.basis IS 'measured, carried_forward or corrected; adjustment for one';
COMMENT ON COLUMN billing.invoice_lines.meter IS 'Meter; adjustments for one';
COMMENT ON COLUMN billing.invoice_lines.dimensions IS 'Dimension values';
COMMENT ON COLUMN billing.invoice_lines.invoice_id IS 'The invoice';
