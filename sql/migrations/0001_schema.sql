-- The vocabulary of the schema: domains that every table speaks.

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
