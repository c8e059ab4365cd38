-- What a token may become.

CREATE OR REPLACE FUNCTION billing.check_token_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{expires_at,last_used_at,revoked_at,revoked_by}';
BEGIN
    IF (to_jsonb(new) - moving) IS DISTINCT FROM (to_jsonb(old) - moving)
        OR (old.revoked_at IS NOT NULL AND (new.revoked_at, new.revoked_by) IS DISTINCT FROM (old.revoked_at, old.revoked_by))
        OR (old.expires_at IS NOT NULL AND (new.expires_at IS NULL OR new.expires_at > old.expires_at)) THEN
        RAISE EXCEPTION 'token % is only revoked, once, or made to expire sooner; make another one', old.token_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_token_change IS 'Trigger: what a token may do stays as it was made, and it never holds longer than was said';
