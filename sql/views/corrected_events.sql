-- Grain: one row an event that was corrected, and one a removal, which counts at no time. An event counts as of an instant
-- unless corrected_at lies at or before it.
-- corrected_at is a scalar subquery on purpose: as a join the planner would read all events to find those few.
CREATE VIEW billing.corrected_events AS
SELECT
    c.corrects_event_id AS event_id,
    c.event_id AS corrected_by,
    (SELECT e.received_at FROM billing.usage_events AS e WHERE e.event_id = c.event_id) AS corrected_at
FROM billing.usage_corrections AS c
WHERE c.corrects_event_id IS NOT NULL
UNION ALL
SELECT
    c.event_id,
    c.event_id,
    (SELECT e.received_at FROM billing.usage_events AS e WHERE e.event_id = c.event_id)
FROM billing.usage_corrections AS c
WHERE c.removes;
COMMENT ON VIEW billing.corrected_events IS 'One row an event that no longer counts: what corrects it or takes it away, and since when. A removal never counts itself';
COMMENT ON COLUMN billing.corrected_events.event_id IS 'The event that no longer counts';
COMMENT ON COLUMN billing.corrected_events.corrected_by IS 'The correcting event; a removal itself';
COMMENT ON COLUMN billing.corrected_events.corrected_at IS 'When the correcting event reached us; before it the corrected one still counts';
