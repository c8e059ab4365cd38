-- Grain: one row a reason why the numbered invoices as a whole are not those that were issued; empty when they are.
SELECT format('invoice number %s is missing', g.n) AS problem
FROM generate_series(1, (SELECT last_number FROM billing.invoice_numbering)) AS g (n)
WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_number = g.n)
UNION ALL
SELECT format('invoice number %s was never given out', i.invoice_number)
FROM billing.invoices AS i
WHERE i.invoice_number > (SELECT n.last_number FROM billing.invoice_numbering AS n)
UNION ALL
SELECT format('%s of invoice %s is left, the invoice is not', l.what, l.invoice_id)
FROM (
    SELECT 'a seal' AS what, invoice_id FROM billing.invoice_seals
    UNION ALL
    SELECT 'a charge', invoice_id FROM billing.stripe_charges
) AS l
WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = l.invoice_id AND i.status <> 'draft')
ORDER BY 1
