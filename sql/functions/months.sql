-- The version of a month's rows, and who holds it.

CREATE OR REPLACE FUNCTION billing.lock_month(locked_asset text, month date) RETURNS void
LANGUAGE sql AS $$
INSERT INTO billing.asset_months (asset, billing_month, guard) VALUES (locked_asset, month, 1)
ON CONFLICT (asset, billing_month) DO UPDATE SET guard = asset_months.guard + 1;
$$;
COMMENT ON FUNCTION billing.lock_month IS 'Holds off every change to the month''s rows of the asset until the end of this transaction';

CREATE OR REPLACE FUNCTION billing.month_rows(month date) RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT string_agg(coalesce(m.version, 0)::text, '.' ORDER BY a.place)
    FROM (VALUES (1, 'usage_snapshots'), (2, 'invoice_line_items'), (3, 'invoices')) AS a (place, asset)
    LEFT JOIN billing.asset_months AS m ON m.asset = a.asset AND m.billing_month = month
);
COMMENT ON FUNCTION billing.month_rows IS 'The versions of the month''s snapshots, lines and invoices in one word, such as 4.6.5: what an approval is of';

CREATE OR REPLACE FUNCTION billing.cut_off(built_asset text, month date, customer text)
RETURNS TABLE (as_of timestamptz, known_until timestamptz, carried_forward_from timestamptz)
LANGUAGE sql STABLE AS $$
SELECT
    CASE WHEN b.asset IS NULL THEN m.as_of ELSE b.as_of END,
    CASE WHEN b.asset IS NULL THEN m.known_until ELSE b.known_until END,
    CASE WHEN b.asset IS NULL THEN m.carried_forward_from ELSE b.carried_forward_from END
FROM billing.asset_months AS m
LEFT JOIN billing.customer_builds AS b
    ON b.asset = m.asset AND b.billing_month = m.billing_month AND b.customer_id = customer
WHERE m.asset = built_asset AND m.billing_month = month
$$;
COMMENT ON FUNCTION billing.cut_off IS 'Until when the asset''s rows of a customer and month were read: by the customer''s own build, if it has one since the month was built, else by the month''s. No row: the month was never built';
