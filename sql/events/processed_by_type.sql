-- Grain: a type of event and what became of it, of the events that the run processed.
SELECT
    e.type,
    CASE w.state WHEN 'dead' THEN 'given up' WHEN 'pending' THEN 'to be tried again' ELSE w.state END AS outcome,
    count(*) AS events
FROM billing.stripe_event_work AS w INNER JOIN billing.stripe_events AS e USING (event_id)
WHERE w.run_id = :run_id
GROUP BY e.type, w.state
ORDER BY events DESC, e.type, w.state
