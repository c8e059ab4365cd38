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
