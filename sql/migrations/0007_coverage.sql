-- Who is invoiced in a month, and who is not and why.

CREATE FUNCTION billing.invoice_coverage(month date)
RETURNS TABLE (customer_id text, invoice_id uuid, reason text)
LANGUAGE sql STABLE AS $$
SELECT
    c.customer_id,
    i.invoice_id,
    CASE
        WHEN i.invoice_id IS NOT NULL OR l.customer_id IS NOT NULL THEN NULL
        WHEN c.status = 'inactive' THEN 'inactive'
        WHEN p.customer_id IS NULL AND c.cycle_anchor >= (month + interval '1 month')::date THEN 'before the first billed day'
        WHEN p.customer_id IS NULL AND clock_timestamp() < (month + interval '1 month') AT TIME ZONE c.timezone
            THEN 'the period has not ended'
        WHEN p.customer_id IS NULL AND c.billing_cycle <> 'calendar_month' THEN 'no period ends in the month'
        WHEN q.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'all usage is in quarantine'
        WHEN p.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'no usage'
        WHEN p.customer_id IS NOT NULL AND q.customer_id IS NOT NULL THEN 'all usage is in quarantine'
    END
FROM billing.customers AS c
LEFT JOIN billing.invoices AS i ON i.customer_id = c.customer_id AND i.billing_month = month AND i.status <> 'void'
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.billing_periods AS t WHERE t.billing_month = month) AS p
    ON p.customer_id = c.customer_id
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_snapshots AS t WHERE t.billing_month = month) AS s
    ON s.customer_id = c.customer_id
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.invoice_line_items AS t WHERE t.billing_month = month) AS l
    ON l.customer_id = c.customer_id
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_quarantine AS t WHERE t.billing_month = month) AS q
    ON q.customer_id = c.customer_id;
$$;
COMMENT ON FUNCTION billing.invoice_coverage IS 'One row a customer (and invoice) of the month: the invoice, or why there is none. Neither means that something was lost';
