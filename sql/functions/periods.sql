CREATE OR REPLACE FUNCTION billing.check_period_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - '{previous_end,follows_end,period_id}'::text []) IS DISTINCT FROM (to_jsonb(old) - '{previous_end,follows_end,period_id}'::text []) THEN
        RAISE EXCEPTION 'period % is laid out anew by delete and insert', old.period_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_period_change IS 'Trigger: of a period only the links to the one before change; what refers to it keeps it from being deleted';

CREATE OR REPLACE FUNCTION billing.check_period_gap() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT n.customer_id, n.start_date INTO wrong
    FROM new_rows AS n
    WHERE n.follows_end IS NOT NULL
        AND EXISTS (
            SELECT FROM billing.contract_terms AS t WHERE t.customer_id = n.customer_id AND t.withdrawn_at IS NULL
        )
        AND NOT EXISTS (
            SELECT FROM billing.contract_terms AS t
            WHERE t.customer_id = n.customer_id AND t.withdrawn_at IS NULL AND t.state = 'active'
                AND (t.effective_on IS NULL OR t.effective_on = n.start_date)
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'customer %: a period that does not start where another ends is the first of a contract, and none starts on %',
            wrong.customer_id, wrong.start_date USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_period_gap IS 'Trigger: time between two periods lies between two contracts';
