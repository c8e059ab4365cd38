-- Grain: one row a choice that holds now, of :customer_id (null: of all): further addresses, kinds that are off, also
-- by the price book that is in force today, hours, bounces.
SELECT
    c.what,
    c.customer_id,
    c.email,
    c.kinds,
    c.author,
    c.reason,
    c.since
FROM (
    SELECT
        'address' AS what,
        a.customer_id::text AS customer_id,
        a.email,
        coalesce(array_to_string(a.kinds, ', '), 'all') AS kinds,
        a.author,
        a.reason,
        a.added_at AS since
    FROM billing.notice_addresses AS a WHERE a.released_at IS NULL
    UNION ALL
    SELECT 'off', o.customer_id::text, o.email, o.kind, o.author, o.reason, o.switched_off_at
    FROM billing.notices_off AS o WHERE o.released_at IS NULL
    UNION ALL
    SELECT 'book', cast(:customer_id AS text), NULL, o.kind || ' (' || o.currency || ')', l.author, l.reason, l.loaded_at
    FROM billing.book_notices_off AS o
    CROSS JOIN
        LATERAL (
            SELECT p.author, p.reason, p.loaded_at FROM billing.price_loads AS p ORDER BY p.load_id DESC LIMIT 1
        ) AS l
    WHERE
        o.version_id = (
            SELECT v.version_id FROM billing.price_versions AS v
            WHERE v.currency = o.currency AND v.effective_from <= (clock_timestamp() AT TIME ZONE 'UTC')::date
            ORDER BY v.effective_from DESC
            LIMIT 1
        )
        AND (
            cast(:customer_id AS text) IS NULL
            OR o.currency = (SELECT k.currency FROM billing.customers AS k WHERE k.customer_id = :customer_id)
        )
    UNION ALL
    SELECT
        'hours',
        h.customer_id::text,
        h.email,
        to_char(h.begins, 'HH24:MI') || ' to ' || to_char(h.ends, 'HH24:MI')
        || CASE h.on_weekends WHEN TRUE THEN ', on weekends too' ELSE '' END,
        h.author,
        h.reason,
        h.chosen_at
    FROM billing.notice_hours AS h WHERE h.released_at IS NULL
    UNION ALL
    SELECT 'bounced', NULL, b.email, 'all', b.author, b.reason, b.bounced_at
    FROM billing.bounced_addresses AS b WHERE b.released_at IS NULL
) AS c
WHERE
    cast(:customer_id AS text) IS NULL
    OR c.customer_id = :customer_id
    OR lower(c.email) = (SELECT lower(k.email) FROM billing.customers AS k WHERE k.customer_id = :customer_id)
ORDER BY c.since, c.what
