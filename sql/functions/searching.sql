-- Search by any part of a text, by an index of every PostgreSQL: the extension for trigrams is not in all of them.

-- A loop: a query in a function would be begun anew for every customer, which takes five times as long. Some come twice.
CREATE OR REPLACE FUNCTION billing.search_grams(given text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    low text := lower(given);
    grams text[] := '{}';
BEGIN
    FOR at IN 1..length(low) - 2 LOOP
        grams := grams || substr(low, at, 3);
    END LOOP;
    RETURN grams;
END;
$$;
COMMENT ON FUNCTION billing.search_grams IS 'Every three letters of a text that stand side by side, in lower case: what holds the text holds all of them';
