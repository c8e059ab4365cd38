-- Grain: one row a draft of :month that does not become final in a run started :through, with the reason; some of them
-- may be on hold as well.
CREATE TEMP TABLE waiting_drafts ON COMMIT DROP AS
SELECT w.invoice_id, w.customer_id, w.reason, w.until
FROM billing.waiting_drafts(:month, :through) AS w
