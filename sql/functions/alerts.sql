-- What becomes of an alert.

CREATE OR REPLACE FUNCTION billing.check_alert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF old.resolved_at IS NOT NULL THEN
        RAISE EXCEPTION 'alert % is over: what happens again is another one', old.alert_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF (new.alert_id, new.rule, new.subject, new.severity, new.opened_at)
        IS DISTINCT FROM (old.alert_id, old.rule, old.subject, old.severity, old.opened_at)
        OR new.tellings < old.tellings
    THEN
        RAISE EXCEPTION 'alert %: what it is about stays as it is', old.alert_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_alert IS 'Trigger: an alert that is over stays over, and is about what it was about';
