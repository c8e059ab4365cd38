-- Grain: one row a month, currency and meter: how much was used, beside the month before.
CREATE VIEW billing.usage_trends AS
WITH used AS (
    SELECT
        s.billing_month,
        s.currency,
        s.meter,
        count(DISTINCT s.customer_id) AS customers,
        sum(s.event_count)::bigint AS events,
        sum(s.quantity) AS quantity
    FROM billing.current_snapshots AS s
    GROUP BY s.billing_month, s.currency, s.meter
)

SELECT
    u.billing_month,
    u.currency,
    u.meter,
    u.customers,
    b.customers AS before_customers,
    u.events,
    trim_scale(u.quantity) AS quantity,
    trim_scale(b.quantity) AS before_quantity,
    CASE WHEN b.quantity > 0 THEN round((u.quantity / b.quantity - 1) * 100, 1) END AS change_percent
FROM used AS u
LEFT JOIN used AS b
    ON u.currency = b.currency AND u.meter = b.meter AND u.billing_month = (b.billing_month + interval '1 month')::date;

COMMENT ON VIEW billing.usage_trends IS 'One row a month, currency and meter: what was measured, billed or not, beside the month before';
COMMENT ON COLUMN billing.usage_trends.billing_month IS 'Partition';
COMMENT ON COLUMN billing.usage_trends.currency IS 'Currency of the customers';
COMMENT ON COLUMN billing.usage_trends.meter IS 'Meter';
COMMENT ON COLUMN billing.usage_trends.customers IS 'Customers with usage of it';
COMMENT ON COLUMN billing.usage_trends.before_customers IS 'The same of the month before; null: nobody used it then';
COMMENT ON COLUMN billing.usage_trends.events IS 'Events that were counted';
COMMENT ON COLUMN billing.usage_trends.quantity IS 'Sum of the quantities of the month''s periods, as the newest look measured them';
COMMENT ON COLUMN billing.usage_trends.before_quantity IS 'The same of the month before; null: none was measured';
COMMENT ON COLUMN billing.usage_trends.change_percent IS 'By how much the quantity grew; null where nothing was used before';
