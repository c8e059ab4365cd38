-- Grain: an operator who may ask for links by :email, locked, so that two who ask at once are one after the other.
SELECT
    o.owner,
    o.role,
    NULL AS customer_id,
    o.email,
    NULL AS language
FROM billing.operators AS o
WHERE lower(o.email) = lower(:email) AND o.released_at IS NULL
FOR UPDATE
