-- Grain: one row a follow-up whose charge needs none any more. A retry that is under way keeps its count.
DELETE FROM billing.charge_follow_ups AS f
USING billing.stripe_charges AS c
WHERE
    f.invoice_id = c.invoice_id
    AND (
        c.state IN ('paid', 'void', 'uncollectible', 'parked')
        OR (f.kind = 'ask' AND c.state = 'refused')
    )
