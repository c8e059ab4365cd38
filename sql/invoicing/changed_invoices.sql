-- Grain: one row an invoice of :month whose rebuildable lines are not those of pg_temp.built_lines, into pg_temp.changed.
-- names: the columns compared; open_lines: the condition for lines that may still be rebuilt.
CREATE TEMP TABLE changed ON COMMIT DROP AS
SELECT DISTINCT invoice_id FROM (
    (
        SELECT {names} FROM pg_temp.built_lines
        EXCEPT ALL
        SELECT {names} FROM billing.invoice_line_items AS t WHERE t.billing_month = :month AND {open_lines}
    )
    UNION ALL
    (
        SELECT {names} FROM billing.invoice_line_items AS t WHERE t.billing_month = :month AND {open_lines}
        EXCEPT ALL
        SELECT {names} FROM pg_temp.built_lines
    )
) AS differences
