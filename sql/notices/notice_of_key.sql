-- Grain: the mail with :notice_id, with what its key is made of.
SELECT
    n.notice_id,
    n.kind,
    n.fact,
    n.recipient,
    n.facts,
    n.written_at,
    n.customer_id,
    c.name AS customer_name,
    c.language,
    c.timezone
FROM billing.notices AS n
INNER JOIN billing.customers AS c ON n.customer_id = c.customer_id
WHERE n.notice_id = :notice_id AND n.channel = 'mail'
