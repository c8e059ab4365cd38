CREATE OR REPLACE FUNCTION billing.only_retire_prices() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - 'retired_at') IS DISTINCT FROM (to_jsonb(old) - 'retired_at') THEN
        RAISE EXCEPTION 'price % is never edited: a changed price is another row', old.price_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.only_retire_prices IS 'Trigger: of a price only retired_at changes';

CREATE OR REPLACE FUNCTION billing.only_retire_terms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - '{retired_at,loaded_at,until_on}'::text[])
        IS DISTINCT FROM (to_jsonb(old) - '{retired_at,loaded_at,until_on}'::text[])
        OR (new.until_on IS DISTINCT FROM old.until_on AND NOT coalesce(
            old.version_id IS NULL AND new.until_on < coalesce(old.until_on, 'infinity'), FALSE
        ))
    THEN
        RAISE EXCEPTION 'term % is never edited: a changed term is another row', old.term_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.only_retire_terms IS 'Trigger: of a term only moves since when, and until when, it is in use; what was granted may end earlier';

-- plpgsql: the view of contracts comes later.
CREATE OR REPLACE FUNCTION billing.in_force_today(whose text, money text)
RETURNS TABLE (today date, version_id text, plan text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT d.today, (
        SELECT v.version_id FROM billing.price_versions AS v
        WHERE v.currency = money AND v.effective_from <= d.today ORDER BY v.effective_from DESC LIMIT 1
    ), (
        SELECT k.plan FROM billing.contracts AS k
        WHERE k.customer_id = whose AND k.starts_on <= d.today AND coalesce(k.ends_on, 'infinity') >= d.today
    )
    FROM (
        SELECT (clock_timestamp() AT TIME ZONE c.timezone)::date AS today FROM billing.customers AS c WHERE c.customer_id = whose
    ) AS d;
END;
$$;
COMMENT ON FUNCTION billing.in_force_today IS 'One row: the day in the customer''s time zone, the version of the book that a period starting on it would have, and the plan of the contract that runs; null where there is none';

CREATE OR REPLACE FUNCTION billing.nearest_prices(whose text, whose_plan text, money text, version text)
RETURNS TABLE (price_id uuid)
LANGUAGE sql STABLE AS $$
SELECT n.price_id
FROM (
    SELECT p.price_id, rank() OVER (PARTITION BY p.meter ORDER BY p.customer_id IS NULL, p.plan IS NULL) AS nearness
    FROM billing.prices AS p
    WHERE p.currency = money AND p.version_id = version AND p.retired_at IS NULL
        AND (p.customer_id IS NULL OR p.customer_id = whose)
        AND (p.plan IS NULL OR p.plan = whose_plan)
) AS n
WHERE n.nearness = 1
$$;
COMMENT ON FUNCTION billing.nearest_prices IS 'The rates and tiers of a version that hold for a customer (null: without prices of its own) on a plan (null: on none): of one meter the customer''s own prices instead of the plan''s, and the plan''s instead of everybody''s';
