-- Drafts whose usage lines, each rounded alone, add up to more than {rounding_max_percent} percent more or less than they
-- come to exactly, and to more than one step of the currency.
SELECT
    customer_id,
    invoice_id::text AS invoice_id,
    currency,
    count(*) AS lines,
    billing.to_minor(sum(exact_amount), currency) AS exact_minor,
    sum(amount_minor)::bigint AS amount_minor
FROM (SELECT * FROM {batch}) AS b
WHERE kind = 'usage'
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
GROUP BY customer_id, invoice_id, currency
HAVING abs(sum(amount_minor) - billing.to_minor(sum(exact_amount), currency)) > billing.rounding_step_minor(currency)
    AND abs(sum(amount_minor) - billing.to_minor(sum(exact_amount), currency)) * 100
    > billing.to_minor(sum(exact_amount), currency) * {rounding_max_percent}
