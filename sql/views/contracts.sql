-- Grain: one row a stretch of days on which a customer is billed on one plan, in a trial or not. Rows of contract_terms that
-- change nothing cut nothing. Without a first day the contract begins with the period of the customer's first usage, or of
-- its first import if it has none, and never after a period that is billed already.
CREATE VIEW billing.contracts AS
WITH terms AS (
    SELECT t.customer_id, t.effective_on, t.state, t.plan, t.trial_until
    FROM billing.contract_terms AS t
    WHERE t.withdrawn_at IS NULL
    UNION ALL
    SELECT c.customer_id, NULL, 'active', NULL, NULL
    FROM billing.customers AS c
    WHERE NOT EXISTS (
            SELECT FROM billing.contract_terms AS t WHERE t.customer_id = c.customer_id AND t.withdrawn_at IS NULL
        )
),

changes AS (
    SELECT
        t.*,
        lag(t.state) OVER in_order AS state_before,
        lag(t.plan) OVER in_order AS plan_before,
        max(t.trial_until) OVER in_order AS said_until
    FROM terms AS t
    WINDOW in_order AS (PARTITION BY t.customer_id ORDER BY t.effective_on NULLS FIRST)
),

stretches AS (
    SELECT
        c.*,
        lead(c.effective_on) OVER in_order AS until_on,
        lead(c.state) OVER in_order AS state_after,
        count(*) FILTER (WHERE c.state_before IS DISTINCT FROM 'active') OVER in_order AS contract_no
    FROM changes AS c
    WHERE (c.state, c.plan) IS DISTINCT FROM (c.state_before, c.plan_before)
    WINDOW in_order AS (PARTITION BY c.customer_id ORDER BY c.effective_on NULLS FIRST)
),

flagged AS (
    SELECT
        s.*,
        bool_or(s.effective_on IS NULL) OVER (PARTITION BY s.customer_id, s.contract_no) AS of_inferred
    FROM stretches AS s
    WHERE s.state = 'active'
),

dated AS (
    SELECT
        s.*,
        i.starts_on AS inferred_on,
        greatest(s.effective_on, i.starts_on) AS starts_on
    FROM flagged AS s
    INNER JOIN billing.customers AS k ON s.customer_id = k.customer_id
    LEFT JOIN LATERAL (
        SELECT
            least(
                billing.cycle_start(k.billing_cycle, k.cycle_anchor, cast(coalesce(
                    (SELECT min(u.first_occurred_at) FROM billing.usage_series AS u WHERE u.customer_id = s.customer_id),
                    k.created_at
                ) AT TIME ZONE k.timezone AS date)),
                (
                    SELECT min(p.start_date) FROM billing.billing_periods AS p
                    INNER JOIN billing.invoices AS f ON p.period_id = f.period_id
                    WHERE p.customer_id = s.customer_id AND billing.is_final(f.status)
                )
            ) AS starts_on
        WHERE s.of_inferred
    ) AS i ON TRUE
),

wholes AS (
    SELECT
        d.customer_id,
        d.contract_no,
        d.starts_on,
        d.until_on - 1 AS ends_on,
        d.plan,
        d.of_inferred AND d.starts_on = d.inferred_on AS start_inferred,
        min(d.starts_on) OVER whole AS contract_starts_on,
        CASE WHEN bool_and(d.until_on IS NOT NULL) OVER whole THEN max(d.until_on) OVER whole - 1 END AS contract_ends_on,
        first_value(d.state_after) OVER (whole ORDER BY d.starts_on DESC) AS left_as,
        first_value(d.plan) OVER (whole ORDER BY d.starts_on) AS first_plan,
        -- who comes back from a pause begins no other trial
        bool_or(d.of_inferred OR coalesce(d.state_before = 'paused', FALSE)) OVER whole AS without_trial,
        max(d.said_until) OVER whole AS said_until
    FROM dated AS d
    WHERE d.until_on IS NULL OR d.starts_on < d.until_on
    WINDOW whole AS (PARTITION BY d.customer_id, d.contract_no)
),

trials AS (
    SELECT
        w.*,
        coalesce(
            CASE WHEN w.said_until >= w.contract_starts_on - 1 THEN w.said_until END,
            CASE
                WHEN NOT w.without_trial THEN w.contract_starts_on - 1 + (
                        SELECT t.days
                        FROM billing.plan_trials AS t
                        INNER JOIN billing.customers AS k ON t.currency = k.currency AND w.customer_id = k.customer_id
                        WHERE t.plan = w.first_plan AND t.version_id = (
                                SELECT v.version_id FROM billing.price_versions AS v
                                WHERE v.currency = k.currency AND v.effective_from <= w.contract_starts_on
                                ORDER BY v.effective_from DESC LIMIT 1
                            )
                    )
            END
        ) AS trial_until
    FROM wholes AS w
)

SELECT
    t.customer_id,
    t.contract_no,
    p.starts_on,
    p.ends_on,
    t.plan,
    t.start_inferred AND p.starts_on = t.starts_on AS start_inferred,
    t.contract_starts_on,
    t.contract_ends_on,
    t.left_as,
    t.trial_until,
    p.in_trial
FROM trials AS t
CROSS JOIN LATERAL (
    SELECT t.starts_on, least(t.ends_on, t.trial_until) AS ends_on, TRUE AS in_trial
    WHERE t.trial_until >= t.starts_on
    UNION ALL
    SELECT greatest(t.starts_on, t.trial_until + 1), t.ends_on, FALSE
    WHERE t.trial_until IS NULL OR t.ends_on IS NULL OR t.ends_on > t.trial_until
) AS p;

COMMENT ON VIEW billing.contracts IS 'One row a customer and stretch of days on one plan, in a trial or not: who is billed from when until when';
COMMENT ON COLUMN billing.contracts.customer_id IS 'Who is billed';
COMMENT ON COLUMN billing.contracts.contract_no IS 'Number of the contract: stretches that follow each other without a break share it';
COMMENT ON COLUMN billing.contracts.starts_on IS 'First day, in the customer''s time zone';
COMMENT ON COLUMN billing.contracts.ends_on IS 'Last day, inclusive; null: without end';
COMMENT ON COLUMN billing.contracts.plan IS 'Plan of the price book; null: the prices that hold for all';
COMMENT ON COLUMN billing.contracts.start_inferred IS 'Nobody said when it starts: the period of the first usage, or of the first import';
COMMENT ON COLUMN billing.contracts.contract_starts_on IS 'First day of the whole contract';
COMMENT ON COLUMN billing.contracts.contract_ends_on IS 'Last day of the whole contract, inclusive; null: without end';
COMMENT ON COLUMN billing.contracts.left_as IS 'ended or paused: what follows the contract; null: nothing';
COMMENT ON COLUMN billing.contracts.trial_until IS 'Last day of the contract''s trial, as was said or as its plan gives; null: none';
COMMENT ON COLUMN billing.contracts.in_trial IS 'Days of the contract''s trial: fees cost nothing';
