-- Tells of each of :found that was not told yet, and nothing higher of the same (`passed`). Grain: one row a notice.
INSERT INTO billing.notices (kind, customer_id, fact, channel, recipient, facts)
SELECT f.kind, f.customer_id, f.fact, r.channel, r.recipient, f.facts
FROM jsonb_to_recordset(cast(:found AS jsonb)) AS f (kind text, customer_id text, fact text, passed text[], facts jsonb)
CROSS JOIN LATERAL billing.notice_recipients(f.customer_id, f.kind) AS r
WHERE NOT EXISTS (SELECT FROM billing.notices AS n WHERE n.fact = any(f.passed))
ORDER BY f.fact, r.channel, r.recipient
ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING
RETURNING fact
