-- What two measures of revenue need alike.

CREATE OR REPLACE FUNCTION billing.months_covered(period_start timestamptz, period_end timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(1, round(extract(EPOCH FROM period_end - period_start) / (86400 * 30.436875)))::integer;
COMMENT ON FUNCTION billing.months_covered IS 'Months of 30.436875 days that a period covers, at least 1: a yearly one 12';
