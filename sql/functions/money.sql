-- Minor units: the smallest step of a currency, and the one rounding rule.

CREATE OR REPLACE FUNCTION billing.rounding_step_minor(currency text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN 10 WHEN currency IN ('isk', 'ugx') THEN 100 ELSE 1 END;
COMMENT ON FUNCTION billing.rounding_step_minor IS 'Smallest step of an amount in minor units: Stripe wants a last digit of 0 for three-decimal currencies and two zeros for ISK and UGX';

CREATE OR REPLACE FUNCTION billing.to_minor(amount numeric, currency text) RETURNS bigint
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

-- div() is exact where / stops after some digits; it rounds half away from zero with the halves added.
CREATE OR REPLACE FUNCTION billing.prorated(amount numeric, days integer, full_days integer) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN days IS NULL THEN amount
    ELSE sign(amount) * 1e-24 * div(2 * abs(amount) * days * 1e24 + full_days, 2 * full_days)
END;
COMMENT ON FUNCTION billing.prorated IS 'The amount''s share by days, to 24 places; the amount itself without days. A test holds it against pricing/rules/proration.py';
