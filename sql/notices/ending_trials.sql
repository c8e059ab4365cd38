-- Tells of trials whose last day is near and after which the contract goes on. Grain: one row a contract.
SELECT
    billing.write_notice(
        'trial_ending', t.customer_id, NULL, concat_ws(':', t.customer_id, t.contract_starts_on, t.trial_until),
        jsonb_build_object('trial_until', t.trial_until, 'plan', t.plan)
    )
FROM billing.contracts AS t
INNER JOIN billing.customers AS c USING (customer_id)
WHERE
    -- where nobody has one, contracts are not looked at
    (EXISTS (SELECT FROM billing.plan_trials) OR EXISTS (SELECT FROM billing.contract_terms WHERE trial_until IS NOT NULL))
    AND t.in_trial AND t.ends_on = t.trial_until
    AND (t.contract_ends_on IS NULL OR t.contract_ends_on > t.trial_until)
    AND c.status <> 'inactive'
    AND t.contract_starts_on <= cast(:now AT TIME ZONE c.timezone AS date)
    AND t.trial_until - cast(:now AT TIME ZONE c.timezone AS date) BETWEEN 0 AND :days
    AND NOT EXISTS (
        SELECT FROM billing.notices AS n
        WHERE n.customer_id = t.customer_id
            AND n.fact = 'trial_ending:' || concat_ws(':', t.customer_id, t.contract_starts_on, t.trial_until)
    )
