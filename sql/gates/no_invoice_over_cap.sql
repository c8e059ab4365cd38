-- Drafts above the cap (BILLING_INVOICE_CAP_MINOR).
SELECT customer_id, currency, total_minor, {invoice_cap_minor} AS cap_minor
FROM {batch}
WHERE status = 'draft' AND total_minor > {invoice_cap_minor}
