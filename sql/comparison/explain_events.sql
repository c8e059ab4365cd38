-- Grain: one row an event behind a snapshot of the invoices :ids, in order of effect.
SELECT
    e.invoice_id::text AS invoice_id,
    e.meter,
    e.dimensions::text AS dimensions,
    e.event_id,
    e.quantity,
    e.occurred_at,
    e.received_at,
    e.corrects_event_id,
    e.corrected_by,
    e.value
FROM billing.billed_events(cast(:ids AS uuid[])) AS e
ORDER BY e.invoice_id, e.place
