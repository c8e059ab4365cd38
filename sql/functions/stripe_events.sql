-- How events come in, and how their work goes on.

-- Security definer: the receiver may insert and not read, so the comparison is made for it.
CREATE OR REPLACE FUNCTION billing.skip_same_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- another API version writes the same event in other words; then only its identity can be compared
    PERFORM FROM billing.stripe_events AS e
    WHERE e.event_id = new.event_id AND (
        e.content_sha256 = new.content_sha256
        OR (
            e.api_version <> new.api_version
            AND (e.type, e.object_id, e.created, e.livemode, e.account)
            IS NOT DISTINCT FROM (new.type, new.object_id, new.created, new.livemode, new.account)
        )
    );
    RETURN CASE WHEN found THEN NULL ELSE new END;
END;
$$;
COMMENT ON FUNCTION billing.skip_same_event IS 'Trigger: a copy that says what the stored event says is no conflict and leaves no row';

CREATE OR REPLACE FUNCTION billing.check_event_work() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.state <> 'pending' OR new.attempts <> 0 OR new.replays <> 0 THEN
            RAISE EXCEPTION 'event %: its work starts pending', new.event_id USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN new;
    END IF;
    IF new.event_id <> old.event_id THEN
        RAISE EXCEPTION 'event %: its work stays its own', old.event_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.replays = old.replays + 1 THEN
        IF new.state <> 'pending' OR new.attempts <> 0 THEN
            RAISE EXCEPTION 'event %: a replay starts pending, with no attempt', old.event_id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN new;
    END IF;
    IF new.replays <> old.replays THEN
        RAISE EXCEPTION 'event %: replays are counted one by one', old.event_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state NOT IN ('pending', 'waiting') AND new IS DISTINCT FROM old THEN
        RAISE EXCEPTION 'event % is %: only a replay opens it again', old.event_id, old.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.attempts NOT IN (old.attempts, old.attempts + 1) THEN
        RAISE EXCEPTION 'event %: attempts are counted one by one', old.event_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_event_work IS 'Trigger: work starts pending; applied, ignored and dead end it; only a replay (replays + 1) opens it again';

-- Security definer: whoever may store an event need not be able to say that it was applied.
CREATE OR REPLACE FUNCTION billing.open_event_work() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO billing.stripe_event_work (event_id) VALUES (new.event_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.open_event_work IS 'Trigger: no event is stored without its work';

CREATE OR REPLACE FUNCTION billing.grant_receiver(role_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA billing TO %I', role_name);
    EXECUTE format(
        'GRANT INSERT ON billing.stripe_events, billing.stripe_event_conflicts, billing.stripe_foreign_events TO %I', role_name
    );
END;
$$;
COMMENT ON FUNCTION billing.grant_receiver IS 'Lets a role store events and nothing else: no reading, no changing';
REVOKE EXECUTE ON FUNCTION billing.grant_receiver FROM public;
