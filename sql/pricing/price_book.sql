-- Grain: one row a book: entered, or brought up to date where name or content differ.
INSERT INTO billing.price_books AS b (currency, name, content_sha256, run_id)
VALUES (:currency, :name, :checksum, :run_id)
ON CONFLICT (currency) DO UPDATE SET
    name = excluded.name, content_sha256 = excluded.content_sha256, run_id = excluded.run_id,
    loaded_at = clock_timestamp()
WHERE (b.name, b.content_sha256) <> (excluded.name, excluded.content_sha256)
