-- Grain: a month other than :month with a draft that holds adjustments and that no run will charge: of a customer who is billed
-- in :month, or of :customer alone, if it is not null. :oldest is the first month that is not too old to be charged.
SELECT DISTINCT d.billing_month
FROM billing.invoices AS d
WHERE d.status = 'draft' AND d.supplement_no = 0 AND d.billing_month <> :month
    AND (cast(:customer AS text) IS NULL OR d.customer_id = :customer)
    AND EXISTS (SELECT FROM billing.invoice_adjustments AS ia WHERE ia.invoice_id = d.invoice_id)
    AND EXISTS (SELECT FROM billing.billing_periods AS p WHERE p.customer_id = d.customer_id AND p.billing_month = :month)
    AND billing.is_passed_over(d.customer_id, d.invoice_id, d.billing_month, d.revision, :oldest)
ORDER BY d.billing_month
