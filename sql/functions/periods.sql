CREATE OR REPLACE FUNCTION billing.check_period_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - '{previous_end,period_id}'::text []) IS DISTINCT FROM (to_jsonb(old) - '{previous_end,period_id}'::text []) THEN
        RAISE EXCEPTION 'period % is laid out anew by delete and insert', old.period_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_period_change IS 'Trigger: of a period only the link to the one before changes; what refers to it keeps it from being deleted';
