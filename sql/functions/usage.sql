-- What keeps usage whole.

CREATE OR REPLACE FUNCTION billing.register_usage_series() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.usage_series AS s
    (series_id, customer_id, meter, dimensions, dimension_names, first_occurred_at)
    SELECT DISTINCT ON (series_id) series_id, customer_id, meter, dimensions,
        ARRAY(SELECT k FROM jsonb_object_keys(dimensions) AS k ORDER BY k COLLATE "C"), occurred_at
    FROM new_rows
    ORDER BY series_id, occurred_at
    ON CONFLICT (series_id) DO UPDATE SET first_occurred_at = excluded.first_occurred_at
    WHERE excluded.first_occurred_at < s.first_occurred_at;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.register_usage_series IS 'Trigger: no event without its series, however it was inserted';

CREATE OR REPLACE FUNCTION billing.place_correction() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(c.place_received_at, e.received_at), coalesce(c.place_event_id, e.event_id)
    INTO new.place_received_at, new.place_event_id
    FROM billing.usage_events AS e LEFT JOIN billing.usage_corrections AS c ON c.event_id = e.event_id
    WHERE e.event_id = new.corrects_event_id;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.place_correction IS 'Trigger: a correction takes the place in the order of the first event of its chain';

-- Two events that correct each other would both stop counting, and their usage would be gone without a trace.
CREATE OR REPLACE FUNCTION billing.check_correction() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('billing usage corrections'));
    IF EXISTS (
        SELECT FROM new_rows AS n JOIN billing.usage_corrections AS c ON c.corrects_event_id = n.event_id
    ) THEN
        RAISE EXCEPTION 'an event that was corrected corrects no other' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM new_rows AS n JOIN billing.usage_corrections AS c ON c.event_id = n.corrects_event_id WHERE c.removes
    ) THEN
        RAISE EXCEPTION 'a removal is not corrected: add the event again' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_correction IS 'Trigger: corrections form chains, never a ring; one writer at a time';

-- Security definer: before PostgreSQL 17 only a table's owner may.
CREATE OR REPLACE FUNCTION billing.analyze_usage() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ANALYZE billing.usage_events, billing.usage_series;
END;
$$;
COMMENT ON FUNCTION billing.analyze_usage IS 'Gathers the statistics of usage anew, after many rows have come in';
