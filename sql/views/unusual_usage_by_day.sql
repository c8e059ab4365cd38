-- Grain: one row a day in UTC and meter with hours of unusual usage.
CREATE VIEW billing.unusual_usage_by_day AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    meter,
    count(DISTINCT customer_id) AS customers,
    count(*) FILTER (WHERE spreads > 0) AS spikes,
    count(*) FILTER (WHERE spreads < 0) AS drops
FROM billing.unusual_usage
GROUP BY (hour AT TIME ZONE 'UTC')::date, meter;

COMMENT ON VIEW billing.unusual_usage_by_day IS 'One row a day and meter with hours whose usage was unusual; the hours are in unusual_usage';
COMMENT ON COLUMN billing.unusual_usage_by_day.day IS 'Day in UTC';
COMMENT ON COLUMN billing.unusual_usage_by_day.meter IS 'Meter';
COMMENT ON COLUMN billing.unusual_usage_by_day.customers IS 'Customers with such an hour';
COMMENT ON COLUMN billing.unusual_usage_by_day.spikes IS 'Hours of a customer with far more than usual';
COMMENT ON COLUMN billing.unusual_usage_by_day.drops IS 'Hours of a customer with far less than usual';
