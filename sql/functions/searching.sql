-- Search by any part of a text, by an index of every PostgreSQL: the extension for trigrams is not in all of them.

CREATE OR REPLACE FUNCTION billing.search_grams(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT coalesce(array_agg(DISTINCT substr(l.low, n.at, 3)), '{}')
FROM (SELECT lower(given) AS low) AS l, generate_series(1, length(l.low) - 2) AS n (at);
$$;
COMMENT ON FUNCTION billing.search_grams IS 'Every three letters of a text that stand side by side, in lower case: what holds the text holds all of them';
