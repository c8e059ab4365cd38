-- Grain: one row a period, meter and dimensions, for the periods in pg_temp.measured_periods by pg_temp.measured_meters.
-- Cost: the events of the month, and one index probe for each series of a level; not the length of history.
-- with the level in force at the end (last), or at the start (max, time_weighted), where events are levels
WITH series AS MATERIALIZED (
    SELECT
        k.*,
        e.quantity AS level
    FROM (
        SELECT
            p.period_id,
            p.customer_id,
            p.currency,
            p.period_start,
            p.period_end,
            s.series_id,
            s.meter,
            s.dimensions,
            m.aggregation,
            m.property,
            m.events
        FROM pg_temp.measured_periods AS p
        INNER JOIN billing.usage_series AS s USING (customer_id)
        INNER JOIN pg_temp.measured_meters AS m
            ON m.currency = p.currency AND m.meter = s.meter AND m.dimensions = s.dimension_names
        WHERE s.first_occurred_at < p.period_end
        ORDER BY s.series_id -- the order of usage_events_level: probes that follow each other find their page in memory
    ) AS k
    LEFT JOIN LATERAL (
        -- of the events of the last instant that has one: the one that stands last in the order
        SELECT u.quantity
        FROM billing.usage_events AS u
        WHERE u.series_id = k.series_id
            AND u.occurred_at = (
                SELECT i.occurred_at
                FROM billing.usage_events AS i
                WHERE k.aggregation IN ('last', 'max', 'time_weighted') AND k.events = 'levels'
                    AND i.series_id = k.series_id
                    AND i.occurred_at < CASE k.aggregation WHEN 'last' THEN k.period_end ELSE k.period_start END
                    AND i.received_at <= :as_of
                    -- a scalar, not EXISTS: as a join it would read the series' whole history before the first row comes
                    AND coalesce((
                        SELECT c.corrected_at FROM billing.corrected_events AS c WHERE c.event_id = i.event_id
                    ) > :as_of, TRUE)
                ORDER BY i.occurred_at DESC
                LIMIT 1
            )
            AND u.received_at <= :as_of
            AND coalesce((
                SELECT c.corrected_at FROM billing.corrected_events AS c WHERE c.event_id = u.event_id
            ) > :as_of, TRUE)
        ORDER BY
            coalesce((
                SELECT p.place_received_at FROM billing.usage_corrections AS p WHERE p.event_id = u.event_id
            ), u.received_at) DESC,
            coalesce((
                SELECT p.place_event_id FROM billing.usage_corrections AS p WHERE p.event_id = u.event_id
            ), u.event_id) COLLATE "C" DESC, -- noqa: RF03
            u.received_at DESC,
            u.event_id COLLATE "C" DESC -- noqa: RF03
        LIMIT 1
    ) AS e ON TRUE
),

-- a corrected event no longer counts; the event that corrects it does, in the place of the first event of its chain
events AS MATERIALIZED (
    SELECT
        s.period_id,
        s.series_id,
        s.aggregation,
        s.events,
        s.period_end,
        CASE
            WHEN s.aggregation = 'unique' THEN (
                SELECT u.properties ->> s.property FROM billing.usage_events AS u WHERE u.event_id = e.event_id
            )
        END AS value,
        e.event_id,
        coalesce(k.place_event_id, e.event_id) AS place_event_id,
        e.quantity,
        e.occurred_at,
        e.received_at,
        coalesce(k.place_received_at, e.received_at) AS place_received_at,
        k.event_id IS NOT NULL AS corrects
    FROM series AS s
    INNER JOIN billing.usage_events AS e USING (series_id)
    LEFT JOIN billing.usage_corrections AS k USING (event_id)
    WHERE e.occurred_at >= :first_start AND e.occurred_at < :last_end
        AND e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
        AND e.received_at <= :as_of
        AND NOT EXISTS (
            SELECT FROM billing.corrected_events AS c WHERE c.event_id = e.event_id AND c.corrected_at <= :as_of
        )
),

counted AS (
    SELECT
        period_id,
        series_id,
        count(*) AS event_count,
        bool_or(corrects) AS corrected,
        sum(quantity) AS total
    FROM events
    WHERE aggregation <> 'unique' OR value IS NOT NULL -- without the property it is set aside
    GROUP BY period_id, series_id
),

-- by itself: distinct values are sorted, which nothing else needs
distinct_values AS MATERIALIZED (
    SELECT
        period_id,
        series_id,
        count(DISTINCT value) AS different
    FROM events
    WHERE aggregation = 'unique'
    GROUP BY period_id, series_id
),

-- what came in since the cut-off, or was corrected since then, is in usage_delta_levels and did not count
since AS MATERIALIZED (
    SELECT
        e.series_id,
        e.occurred_at,
        -e.quantity AS quantity
    FROM billing.usage_events AS e
    WHERE e.meter IN (SELECT m.meter FROM pg_temp.measured_meters AS m WHERE m.events = 'deltas')
        AND e.received_at > :as_of
        AND NOT EXISTS (SELECT FROM billing.corrected_events AS c WHERE c.event_id = e.event_id)
    UNION ALL
    SELECT
        o.series_id,
        o.occurred_at,
        o.quantity
    FROM billing.usage_events AS e
    INNER JOIN billing.usage_corrections AS c ON e.event_id = c.event_id
    INNER JOIN billing.usage_events AS o ON c.corrects_event_id = o.event_id
    WHERE o.meter IN (SELECT m.meter FROM pg_temp.measured_meters AS m WHERE m.events = 'deltas')
        AND e.received_at > :as_of AND o.received_at <= :as_of
),

-- of changes the level at the period's start: what they came to until its month, and those of the month before it
openings AS MATERIALIZED (
    SELECT
        d.period_id,
        d.series_id,
        coalesce((
            SELECT l.level FROM billing.usage_delta_levels AS l
            WHERE l.series_id = d.series_id AND l.month < d.month_start AT TIME ZONE 'UTC'
            ORDER BY l.month DESC
            LIMIT 1
        ), 0) + coalesce((
            SELECT sum(n.quantity) FROM since AS n WHERE n.series_id = d.series_id AND n.occurred_at < d.month_start
        ), 0) + coalesce((
            SELECT sum(e.quantity)
            FROM billing.usage_events AS e
            WHERE e.series_id = d.series_id AND e.occurred_at >= d.month_start AND e.occurred_at < d.period_start
                AND e.received_at <= :as_of
                AND coalesce((
                    SELECT min(c.corrected_at) FROM billing.corrected_events AS c WHERE c.event_id = e.event_id
                ) > :as_of, TRUE)
        ), 0) AS level
    FROM (
        SELECT
            s.period_id,
            s.series_id,
            s.period_start,
            date_trunc('month', s.period_start AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month_start
        FROM series AS s
        WHERE s.events = 'deltas'
    ) AS d
),

steps AS (
    SELECT
        period_id,
        series_id,
        aggregation,
        CASE WHEN events = 'deltas' THEN sum(quantity) OVER in_order ELSE quantity END AS quantity,
        occurred_at AS since,
        lead(occurred_at, 1, period_end) OVER in_order AS until
    FROM (
        SELECT
            period_id,
            series_id,
            aggregation,
            events,
            period_end,
            quantity,
            occurred_at,
            place_received_at,
            place_event_id,
            received_at,
            event_id
        FROM events
        WHERE aggregation IN ('max', 'time_weighted')
        UNION ALL
        SELECT period_id, series_id, aggregation, events, period_end, level, period_start, '-infinity', '', '-infinity', ''
        FROM series
        WHERE aggregation IN ('max', 'time_weighted') AND level IS NOT NULL
        UNION ALL
        SELECT
            s.period_id, s.series_id, s.aggregation, s.events, s.period_end, o.level, s.period_start, '-infinity', '',
            '-infinity', ''
        FROM series AS s INNER JOIN openings AS o USING (period_id, series_id)
        WHERE s.aggregation IN ('max', 'time_weighted')
    ) AS changes
    WINDOW in_order AS (
        PARTITION BY period_id, series_id
        ORDER BY occurred_at, place_received_at, place_event_id COLLATE "C", received_at, event_id COLLATE "C"
        ROWS UNBOUNDED PRECEDING
    )
),

-- a level replaced at the same instant was never in force
held AS MATERIALIZED ( -- once, however few rows the planner expects: of a few periods it would do it for each series
    SELECT
        period_id,
        series_id,
        max(quantity) AS highest,
        sum(quantity * extract(EPOCH FROM until - since)) AS unit_seconds
    FROM steps
    WHERE until > since
    GROUP BY period_id, series_id
),

measured AS (
    SELECT
        s.period_id,
        s.customer_id,
        s.currency,
        s.meter,
        s.dimensions,
        CASE s.aggregation
            WHEN 'sum' THEN c.total
            WHEN 'count' THEN c.event_count
            WHEN 'unique' THEN nullif(v.different, 0)
            WHEN 'last' THEN CASE WHEN s.events = 'deltas' THEN o.level + coalesce(c.total, 0) ELSE s.level END
            WHEN 'max' THEN h.highest
            -- numeric's / stops after some 16 digits: div() is exact, and rounds half away from zero with the halves added
            ELSE sign(h.unit_seconds) * 0.000000000001 * div(
                    2 * abs(h.unit_seconds) * 1000000000000 + extract(EPOCH FROM s.period_end - s.period_start),
                    2 * extract(EPOCH FROM s.period_end - s.period_start)
                )
        END AS quantity,
        coalesce(c.event_count, 0) AS event_count,
        CASE WHEN c.corrected THEN 'corrected' ELSE 'measured' END AS basis,
        concat_ws(' of ', s.aggregation, s.property, CASE WHEN s.events = 'deltas' THEN 'deltas' END) AS aggregation
    FROM series AS s
    LEFT JOIN counted AS c USING (period_id, series_id)
    LEFT JOIN distinct_values AS v USING (period_id, series_id)
    LEFT JOIN openings AS o USING (period_id, series_id)
    LEFT JOIN held AS h USING (period_id, series_id)
    WHERE s.aggregation <> 'constant'
    UNION ALL
    SELECT
        p.period_id,
        p.customer_id,
        p.currency,
        m.meter,
        coalesce(s.dimensions, '{}'),
        1,
        coalesce(c.event_count, 0),
        'measured',
        m.aggregation
    FROM pg_temp.measured_periods AS p
    INNER JOIN pg_temp.measured_meters AS m ON p.currency = m.currency AND m.aggregation = 'constant'
    LEFT JOIN series AS s ON p.period_id = s.period_id AND m.meter = s.meter
    LEFT JOIN counted AS c ON s.period_id = c.period_id AND s.series_id = c.series_id
),

-- released by an operator: the feed ended before the period did, so the period before stands in
carried AS (
    SELECT
        p.period_id,
        p.customer_id,
        p.currency,
        b.meter,
        b.dimensions,
        b.quantity,
        b.aggregation
    FROM pg_temp.measured_periods AS p
    INNER JOIN billing.billing_periods AS q
        ON p.customer_id = q.customer_id AND p.previous_end = q.period_end
    INNER JOIN billing.usage_snapshots AS b ON q.period_id = b.period_id
    WHERE p.may_carry AND p.period_end > :carried_forward_from AND b.currency = p.currency
)

SELECT
    coalesce(m.period_id, c.period_id) AS period_id,
    coalesce(m.meter, c.meter) AS meter,
    coalesce(m.dimensions, c.dimensions) AS dimensions,
    coalesce(m.customer_id, c.customer_id) AS customer_id,
    cast(:month AS date) AS billing_month,
    coalesce(m.currency, c.currency) AS currency,
    coalesce(c.quantity, m.quantity) AS quantity,
    coalesce(m.event_count, 0) AS event_count,
    cast(:as_of AS timestamptz) AS as_of,
    CASE WHEN c.period_id IS NULL THEN m.basis ELSE 'carried_forward' END AS basis,
    cast(:run_id AS text) AS run_id,
    coalesce(c.aggregation, m.aggregation) AS aggregation
FROM measured AS m
FULL JOIN carried AS c
    ON m.period_id = c.period_id AND m.meter = c.meter AND m.dimensions = c.dimensions
WHERE coalesce(c.quantity, m.quantity) <> 0 OR m.event_count > 0
