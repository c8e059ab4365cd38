-- Grain: one row a customer and currency of prepaid credits. Beside it, not in it: Stripe's customer balance.
CREATE VIEW billing.credit_balances AS
SELECT
    g.customer_id,
    g.currency,
    sum(g.amount_minor)::bigint AS granted_minor,
    coalesce(sum(e.drawn_minor), 0)::bigint AS drawn_minor,
    coalesce(sum(e.expired_minor), 0)::bigint AS expired_minor,
    coalesce(sum(e.voided_minor), 0)::bigint AS voided_minor,
    sum(g.balance_minor)::bigint AS balance_minor,
    (coalesce(sum(g.balance_minor) FILTER (WHERE g.kind = 'paid'), 0))::bigint AS paid_balance_minor,
    min(g.expires_on) FILTER (WHERE g.balance_minor > 0) AS next_expiry_on
FROM billing.credit_grants AS g
LEFT JOIN (
    SELECT
        x.grant_id,
        -sum(x.amount_minor) FILTER (WHERE x.kind IN ('draw', 'return')) AS drawn_minor,
        -sum(x.amount_minor) FILTER (WHERE x.kind = 'expire') AS expired_minor,
        -sum(x.amount_minor) FILTER (WHERE x.kind = 'void') AS voided_minor
    FROM billing.credit_entries AS x
    GROUP BY x.grant_id
) AS e USING (grant_id)
GROUP BY g.customer_id, g.currency;

COMMENT ON VIEW billing.credit_balances IS 'One row a customer and currency: granted = drawn + expired + voided + balance, in minor units';
COMMENT ON COLUMN billing.credit_balances.customer_id IS 'Whose credits';
COMMENT ON COLUMN billing.credit_balances.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.credit_balances.granted_minor IS 'All that was ever granted';
COMMENT ON COLUMN billing.credit_balances.drawn_minor IS 'What invoices drew, less what came back from them';
COMMENT ON COLUMN billing.credit_balances.expired_minor IS 'What expired';
COMMENT ON COLUMN billing.credit_balances.voided_minor IS 'What people took back';
COMMENT ON COLUMN billing.credit_balances.balance_minor IS 'What is left';
COMMENT ON COLUMN billing.credit_balances.paid_balance_minor IS 'The part of it that the customer paid for: what is owed to the customer in services';
COMMENT ON COLUMN billing.credit_balances.next_expiry_on IS 'Last day of the grant with something left that expires first; null: none expires';
