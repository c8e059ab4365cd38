-- Grain: one draft a period of :month that has lines or adjustments and no invoice yet; total and count are those of both,
-- and where its last invoice was voided it is the next revision. :customer: of this one alone; null: of everybody.
INSERT INTO billing.invoices (
    invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, revision, supersedes_invoice_id, run_id
)
SELECT
    l.invoice_id,
    l.customer_id,
    l.period_id,
    l.billing_month,
    l.currency,
    sum(l.amount_minor),
    count(*),
    coalesce(v.revision + 1, 0),
    v.invoice_id,
    :run_id
FROM (
    SELECT li.invoice_id, li.customer_id, li.period_id, li.billing_month, li.currency, li.amount_minor
    FROM billing.invoice_line_items AS li
    WHERE li.billing_month = :month AND (cast(:customer AS text) IS NULL OR li.customer_id = :customer)
    UNION ALL
    SELECT ia.invoice_id, ia.customer_id, ia.period_id, ia.billing_month, ia.currency, ia.amount_minor
    FROM billing.invoice_adjustments AS ia
    WHERE ia.billing_month = :month AND (cast(:customer AS text) IS NULL OR ia.customer_id = :customer)
) AS l
LEFT JOIN (
    SELECT DISTINCT ON (voided.period_id) voided.period_id, voided.invoice_id, voided.revision
    FROM billing.invoices AS voided
    WHERE voided.billing_month = :month AND voided.status = 'void' AND voided.supplement_no = 0
    ORDER BY voided.period_id, voided.revision DESC
) AS v USING (period_id)
WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = l.invoice_id)
GROUP BY l.invoice_id, l.customer_id, l.period_id, l.billing_month, l.currency, v.revision, v.invoice_id
