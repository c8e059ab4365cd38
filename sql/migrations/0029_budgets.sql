-- Budgets: of how much of a running period a customer wants to be told. Nothing is stopped and nothing is billed by one.

CREATE TABLE billing.budgets (
    budget_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    meter billing.platform_key,
    limit_minor bigint CHECK (limit_minor > 0),
    currency billing.currency_code,
    limit_quantity billing.exact_decimal CHECK (limit_quantity > 0),
    thresholds_percent integer[] NOT NULL CHECK (
        cardinality(thresholds_percent) BETWEEN 1 AND 10
        AND 1 <= all(thresholds_percent) AND 1000 >= all(thresholds_percent)
    ),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    CONSTRAINT budgets_of_the_amount_or_a_meter CHECK (
        (meter IS NULL) = (limit_minor IS NOT NULL)
        AND (meter IS NULL) = (currency IS NOT NULL)
        AND (meter IS NULL) = (limit_quantity IS NULL)
    )
);
CREATE UNIQUE INDEX budgets_one_of_each ON billing.budgets (customer_id, meter) NULLS NOT DISTINCT
WHERE ended_at IS NULL;
COMMENT ON TABLE billing.budgets IS 'One row a thing that a customer watches in each running period: what the invoice comes to so far, or a meter''s quantity';
COMMENT ON COLUMN billing.budgets.budget_id IS 'Order of making';
COMMENT ON COLUMN billing.budgets.customer_id IS 'Whose period';
COMMENT ON COLUMN billing.budgets.meter IS 'The meter whose quantity is watched; null: what the invoice comes to so far';
COMMENT ON COLUMN billing.budgets.limit_minor IS 'The amount that is 100 percent, in minor units; null: a meter is watched';
COMMENT ON COLUMN billing.budgets.currency IS 'Currency of limit_minor; a period in another one is not compared with it';
COMMENT ON COLUMN billing.budgets.limit_quantity IS 'The quantity that is 100 percent, in the meter''s unit; null: the amount is watched';
COMMENT ON COLUMN billing.budgets.thresholds_percent IS 'Shares of the limit that are told, each once a period';
COMMENT ON COLUMN billing.budgets.author IS 'Who changed it last';
COMMENT ON COLUMN billing.budgets.reason IS 'Why';
COMMENT ON COLUMN billing.budgets.changed_at IS 'When';
COMMENT ON COLUMN billing.budgets.ended_at IS 'When it was ended; null while it is watched';
CREATE TRIGGER budgets_change BEFORE UPDATE ON billing.budgets
FOR EACH ROW WHEN (
    old.ended_at IS NOT NULL
    OR (new.budget_id, new.customer_id, new.meter) IS DISTINCT FROM (old.budget_id, old.customer_id, old.meter)
) EXECUTE FUNCTION billing.refuse_change('a budget that was ended is kept as it was; another thing to watch is another budget');
CREATE TRIGGER budgets_keep BEFORE DELETE OR TRUNCATE ON billing.budgets
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('budgets are ended, not deleted');

CREATE TABLE billing.failed_looks (
    customer_id billing.platform_key PRIMARY KEY REFERENCES billing.customers (customer_id),
    error text NOT NULL CHECK (error ~ '\S'),
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.failed_looks IS 'One row a customer whose running period could not be looked at once, so that nothing was told of it; one that is old has passed';
COMMENT ON COLUMN billing.failed_looks.customer_id IS 'Whose period';
COMMENT ON COLUMN billing.failed_looks.error IS 'What kind of error it was, last';
COMMENT ON COLUMN billing.failed_looks.failed_at IS 'When, last';
