-- What tables that are never changed say.

CREATE OR REPLACE FUNCTION billing.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of billing.% is refused: %', lower(tg_op), tg_table_name, tg_argv[0]
        USING ERRCODE = 'restrict_violation';
END;
$$;
COMMENT ON FUNCTION billing.refuse_change IS 'Trigger: refuses the operation, its argument says why';
