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

CREATE OR REPLACE FUNCTION billing.series_id(customer_id text, meter text, dimensions jsonb) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(customer_id || chr(31) || meter || chr(31) || dimensions::text)::uuid;
COMMENT ON FUNCTION billing.series_id IS 'The key of a series, as usage_events and usage_series have it';

CREATE OR REPLACE FUNCTION billing.is_delta_meter(name text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (SELECT FROM billing.meters AS m WHERE m.meter = name AND m.events = 'deltas');
$$;
COMMENT ON FUNCTION billing.is_delta_meter IS 'Whether some price book has a meter of this name whose events are changes of a level';

CREATE OR REPLACE FUNCTION billing.move_delta_levels(series uuid[], months date[], quantities numeric[]) RETURNS void
LANGUAGE sql AS $$
WITH moves AS (
    SELECT series_id, month, sum(quantity) AS quantity
    FROM unnest(series, months, quantities) AS m (series_id, month, quantity) GROUP BY series_id, month
)
INSERT INTO billing.usage_delta_levels (series_id, month, level)
SELECT m.series_id, m.month, coalesce((
    SELECT l.level FROM billing.usage_delta_levels AS l
    WHERE l.series_id = m.series_id AND l.month < m.month ORDER BY l.month DESC LIMIT 1
), 0)
FROM moves AS m ON CONFLICT DO NOTHING;
WITH moves AS (
    SELECT series_id, month, sum(quantity) AS quantity
    FROM unnest(series, months, quantities) AS m (series_id, month, quantity) GROUP BY series_id, month
)
UPDATE billing.usage_delta_levels AS l SET level = l.level + t.quantity
FROM (
    SELECT k.series_id, k.month, sum(m.quantity) AS quantity
    FROM moves AS m JOIN billing.usage_delta_levels AS k ON k.series_id = m.series_id AND k.month >= m.month
    GROUP BY k.series_id, k.month
) AS t
WHERE l.series_id = t.series_id AND l.month = t.month;
$$;
COMMENT ON FUNCTION billing.move_delta_levels IS 'Adds quantities to the levels of their series, from their months on';

CREATE OR REPLACE FUNCTION billing.move_levels_by_events() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.meters WHERE events = 'deltas') THEN
        PERFORM billing.move_delta_levels(
            array_agg(n.series_id), array_agg(date_trunc('month', n.occurred_at AT TIME ZONE 'UTC')::date), array_agg(n.quantity::numeric)
        )
        FROM (
            SELECT e.series_id, e.occurred_at, e.quantity FROM new_rows AS e
            WHERE e.meter IN (SELECT m.meter FROM billing.meters AS m WHERE m.events = 'deltas')
        ) AS n
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.move_levels_by_events IS 'Trigger: events that change a level move what is kept of it';

CREATE OR REPLACE FUNCTION billing.move_levels_by_corrections() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.meters WHERE events = 'deltas') THEN
        PERFORM billing.move_delta_levels(
            array_agg(n.series_id), array_agg(date_trunc('month', n.occurred_at AT TIME ZONE 'UTC')::date),
            array_agg(-n.quantity::numeric)
        )
        FROM (
            SELECT e.series_id, e.occurred_at, e.quantity
            FROM new_rows AS c
            JOIN billing.usage_events AS e ON e.event_id = c.corrects_event_id OR (c.removes AND e.event_id = c.event_id)
            WHERE billing.is_delta_meter(e.meter)
        ) AS n
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.move_levels_by_corrections IS 'Trigger: what no longer counts is taken off again';

CREATE OR REPLACE FUNCTION billing.keep_delta_levels() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM billing.usage_delta_levels AS l
    USING billing.usage_series AS s WHERE s.series_id = l.series_id AND NOT billing.is_delta_meter(s.meter);
    INSERT INTO billing.usage_delta_levels (series_id, month, level)
    SELECT t.series_id, t.month, sum(t.quantity) OVER (PARTITION BY t.series_id ORDER BY t.month)
    FROM (
        SELECT e.series_id, date_trunc('month', e.occurred_at AT TIME ZONE 'UTC')::date AS month,
            coalesce(sum(e.quantity) FILTER (WHERE c.event_id IS NULL), 0) AS quantity
        FROM billing.usage_series AS s
        JOIN billing.usage_events AS e USING (series_id)
        LEFT JOIN billing.corrected_events AS c ON c.event_id = e.event_id
        WHERE billing.is_delta_meter(s.meter)
            AND NOT EXISTS (SELECT FROM billing.usage_delta_levels AS l WHERE l.series_id = s.series_id)
        GROUP BY e.series_id, 2
    ) AS t;
END;
$$;
COMMENT ON FUNCTION billing.keep_delta_levels IS 'Adds up what the series of meters that now count changes have had until now, once; forgets those that no longer do';

CREATE OR REPLACE FUNCTION billing.delta_level(series uuid, before timestamptz, as_of timestamptz) RETURNS numeric
LANGUAGE sql STABLE AS $$
SELECT coalesce(sum(e.quantity), 0) FROM billing.usage_events AS e
WHERE e.series_id = series AND e.occurred_at < before AND e.received_at <= as_of AND billing.counts_as_of(e.event_id, as_of);
$$;
COMMENT ON FUNCTION billing.delta_level IS 'The level of a series of changes just before an instant, from all of its events: for whoever checks one invoice';

-- Security definer: before PostgreSQL 17 only a table's owner may.
CREATE OR REPLACE FUNCTION billing.analyze_usage() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ANALYZE billing.usage_events, billing.usage_series;
END;
$$;
COMMENT ON FUNCTION billing.analyze_usage IS 'Gathers the statistics of usage anew, after many rows have come in';
