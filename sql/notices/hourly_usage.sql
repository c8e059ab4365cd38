-- Grain: one row a customer, meter whose events are summed up, week (0: that of :hour, 1: the one before, …) and hour
-- beside :hour; what they used in it. Hours without usage have no row.
SELECT
    e.customer_id,
    e.meter,
    w.week,
    b.beside,
    sum(e.quantity) AS quantity,
    count(*) AS events
FROM generate_series(0, :weeks) AS w (week)
CROSS JOIN unnest(cast(:neighbours AS integer[])) AS b (beside)
INNER JOIN billing.usage_events AS e
    ON
        e.occurred_at >= :hour - make_interval(weeks => w.week) + make_interval(hours => b.beside)
        AND e.occurred_at < :hour - make_interval(weeks => w.week) + make_interval(hours => b.beside + 1)
WHERE
    (w.week > 0 OR b.beside = 0)
    AND EXISTS (SELECT FROM billing.meters AS m WHERE m.meter = e.meter AND m.aggregation = 'sum')
GROUP BY e.customer_id, e.meter, w.week, b.beside
