SELECT
    a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, col_description(a.attrelid, a.attnum) AS description,
    a.attnotnull AS not_null
FROM pg_attribute AS a
WHERE a.attrelid = to_regclass('billing.' || :table) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
