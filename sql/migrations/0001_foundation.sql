-- The vocabulary of the schema: domains, the rounding rule, append-only guards, the audit log.

CREATE SCHEMA billing;
COMMENT ON SCHEMA billing IS 'Usage billing: platform tables, the monthly assets built from them, and the charges sent to Stripe';

CREATE DOMAIN billing.currency_code AS text CHECK (value ~ '^[a-z]{3}$');
COMMENT ON DOMAIN billing.currency_code IS 'ISO 4217 code in lower case, as Stripe writes it';

CREATE DOMAIN billing.exact_decimal AS numeric CHECK (scale(value) <= 12 AND value > -1e18 AND value < 1e18);
COMMENT ON DOMAIN billing.exact_decimal IS 'A quantity or a rate: at most 18 digits before the point and 12 after it, never NaN or infinite';

CREATE DOMAIN billing.month_start AS date CHECK (isfinite(value) AND date_part('day', value) = 1);
COMMENT ON DOMAIN billing.month_start IS 'A monthly partition, written as the first day of the month';

CREATE DOMAIN billing.platform_key AS text
CHECK (value !~ '[[:cntrl:]]' AND value !~ '^\s|\s$' AND length(value) BETWEEN 1 AND 255);
COMMENT ON DOMAIN billing.platform_key IS 'An identifier given by the platform: 1 to 255 characters, none of them a control character, the first and last no white space';

CREATE FUNCTION billing.rounding_step_minor(currency text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN 10 WHEN currency IN ('isk', 'ugx') THEN 100 ELSE 1 END;
COMMENT ON FUNCTION billing.rounding_step_minor IS 'Smallest step of an amount in minor units: Stripe wants a last digit of 0 for three-decimal currencies and two zeros for ISK and UGX';

CREATE FUNCTION billing.to_minor(amount numeric, currency text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    round(
        amount * CASE
            WHEN currency IN (
                    'bif', 'clp', 'djf', 'gnf', 'isk', 'jpy', 'kmf', 'krw', 'mga',
                    'pyg', 'rwf', 'ugx', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'
                ) THEN 1
            ELSE 100
        END
    ) * billing.rounding_step_minor(currency)
)::bigint;
COMMENT ON FUNCTION billing.to_minor IS 'The one rounding rule: half away from zero, to the step of the currency; a test holds it against core/money.py';

CREATE FUNCTION billing.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of billing.% is refused: %', lower(tg_op), tg_table_name, tg_argv[0]
        USING ERRCODE = 'restrict_violation';
END;
$$;
COMMENT ON FUNCTION billing.refuse_change IS 'Trigger: refuses the operation, its argument says why';

CREATE TABLE billing.automation_log (
    log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    run_id text,
    action text NOT NULL CHECK (action <> ''),
    object_type text NOT NULL,
    object_id text NOT NULL,
    reason text,
    state_before jsonb,
    state_after jsonb
);
CREATE INDEX automation_log_object ON billing.automation_log (object_type, object_id);
COMMENT ON TABLE billing.automation_log IS 'Who or which run did what to which object, before and after; append-only';
COMMENT ON COLUMN billing.automation_log.log_id IS 'Order of writing';
COMMENT ON COLUMN billing.automation_log.logged_at IS 'When it was written';
COMMENT ON COLUMN billing.automation_log.actor IS 'A person, or the program that acted';
COMMENT ON COLUMN billing.automation_log.run_id IS 'The Dagster run, if one acted';
COMMENT ON COLUMN billing.automation_log.action IS 'What was done, as object.verb: usage.correct, invoice.finalise, stripe.pay';
COMMENT ON COLUMN billing.automation_log.object_type IS 'Kind of the object: usage_event, customer, invoice, month';
COMMENT ON COLUMN billing.automation_log.object_id IS 'Key of the object within its kind';
COMMENT ON COLUMN billing.automation_log.reason IS 'Why, in the words of the author or of Stripe';
COMMENT ON COLUMN billing.automation_log.state_before IS 'The object before, where it changed';
COMMENT ON COLUMN billing.automation_log.state_after IS 'The object after, or the evidence';

CREATE TRIGGER automation_log_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.automation_log
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the audit log is append-only');
