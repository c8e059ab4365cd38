-- Grain: one row, the load, and its entry in the audit log with the file before and after.
WITH before AS (
    SELECT jsonb_build_object('file', l.file_name, 'content_sha256', l.content_sha256) AS file
    FROM billing.price_loads AS l
    ORDER BY l.load_id DESC
    LIMIT 1
),

loaded AS (
    INSERT INTO billing.price_loads (file_name, content, content_sha256, author, reason, run_id)
    VALUES (:file_name, :content, :checksum, :author, :reason, :run_id)
    RETURNING load_id, file_name, content_sha256, author, reason, run_id
)

SELECT
    billing.log_action(
        n.author, 'prices.load', 'price_load', n.load_id::text, n.reason, (SELECT b.file FROM before AS b),
        jsonb_build_object('file', n.file_name, 'content_sha256', n.content_sha256), n.run_id
    )
FROM loaded AS n
