-- Grain: one row an event that was corrected. It counts as of an instant unless corrected_at lies at or before it.
-- corrected_at is a scalar subquery on purpose: as a join the planner would read all events to find those few.
CREATE VIEW billing.corrected_events AS
SELECT
    c.corrects_event_id AS event_id,
    c.event_id AS corrected_by,
    (SELECT e.received_at FROM billing.usage_events AS e WHERE e.event_id = c.event_id) AS corrected_at
FROM billing.usage_corrections AS c
WHERE c.corrects_event_id IS NOT NULL;
COMMENT ON VIEW billing.corrected_events IS 'One row an event that was corrected: what corrects it, and since when';
COMMENT ON COLUMN billing.corrected_events.event_id IS 'The event that no longer counts';
COMMENT ON COLUMN billing.corrected_events.corrected_by IS 'The correcting event';
COMMENT ON COLUMN billing.corrected_events.corrected_at IS 'When the correcting event reached us; before it the corrected one still counts';
