CREATE OR REPLACE FUNCTION billing.check_stripe_object() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    frozen text[] := string_to_array(tg_argv[0], ' ');
    final_states text[] := string_to_array(tg_argv[1], ' ');
    before jsonb := to_jsonb(old);
    after jsonb := to_jsonb(new);
    name text;
BEGIN
    FOREACH name IN ARRAY frozen LOOP
        IF before -> name IS DISTINCT FROM after -> name THEN
            RAISE EXCEPTION '%: % does not change, from % to %', tg_table_name, name, before ->> name, after ->> name
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    IF old.status <> new.status AND old.status = ANY(final_states) THEN
        RAISE EXCEPTION '%: status does not go from % to %', tg_table_name, old.status, new.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    new.changed_at = clock_timestamp();
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_stripe_object IS 'Trigger: the columns of its first argument are frozen, the statuses of its second are final';
