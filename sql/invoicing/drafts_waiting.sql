-- Grain: one row a draft of :month that is not on hold and yet does not become final now, with the reason.
CREATE TEMP TABLE waiting_drafts ON COMMIT DROP AS
SELECT i.invoice_id, i.customer_id, 'not_ended' AS reason
FROM billing.invoices AS i
INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
WHERE i.billing_month = :month AND i.status = 'draft' AND p.period_end > clock_timestamp()
