-- Grain: a customer with this :email to which mails do not come back, locked, so that two who ask at once are one after
-- the other.
SELECT
    c.name AS owner,
    'customer' AS role,
    c.customer_id,
    c.email,
    c.language
FROM billing.customers AS c
WHERE
    lower(c.email) = lower(:email)
    AND NOT EXISTS (
        SELECT FROM billing.bounced_addresses AS b
        WHERE lower(b.email) = lower(c.email) AND b.released_at IS NULL
    )
ORDER BY c.customer_id
LIMIT 20
FOR UPDATE OF c
