-- Grain: one row a currency: the month after the newest one without drafts. No look at the usage of that month.
CREATE VIEW billing.revenue_forecast AS
WITH months AS (
    SELECT
        r.currency,
        r.billing_month,
        sum(r.mrr_minor) AS mrr_minor
    FROM billing.recurring_revenue AS r
    WHERE NOT EXISTS (
            SELECT FROM billing.invoices AS i
            WHERE i.status = 'draft' AND i.billing_month = r.billing_month AND i.currency = r.currency
        )
    GROUP BY r.currency, r.billing_month
),

moved AS (
    SELECT
        currency,
        billing_month,
        mrr_minor,
        mrr_minor / nullif(lag(mrr_minor) OVER (PARTITION BY currency ORDER BY billing_month), 0) AS ratio,
        row_number() OVER (PARTITION BY currency ORDER BY billing_month DESC) AS months_back
    FROM months
),

newest AS (
    SELECT
        currency,
        max(billing_month) AS billing_month,
        max(mrr_minor) FILTER (WHERE months_back = 1) AS mrr_minor,
        count(ratio) AS changes,
        coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio)::numeric, 1) AS ratio,
        coalesce(min(ratio), 1) AS least_ratio,
        coalesce(max(ratio), 1) AS most_ratio
    FROM moved
    WHERE months_back <= 3
    GROUP BY currency
)

SELECT
    (billing_month + interval '1 month')::date AS billing_month,
    currency,
    round(mrr_minor, 2) AS before_minor,
    changes,
    round((ratio - 1) * 100, 1) AS change_percent,
    round(mrr_minor * ratio) AS forecast_minor,
    round(mrr_minor * least_ratio) AS low_minor,
    round(mrr_minor * most_ratio) AS high_minor
FROM newest;

COMMENT ON VIEW billing.revenue_forecast IS 'One row a currency: what MRR comes to in the month after the newest one that is billed, if it moves as in the three months before; no promise, and no look at usage';
COMMENT ON COLUMN billing.revenue_forecast.billing_month IS 'The month that is forecast';
COMMENT ON COLUMN billing.revenue_forecast.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_forecast.before_minor IS 'MRR of the month before, the newest without drafts';
COMMENT ON COLUMN billing.revenue_forecast.changes IS 'Of how many changes from month to month it is made: three at most, none where there is one month';
COMMENT ON COLUMN billing.revenue_forecast.change_percent IS 'Their median in percent';
COMMENT ON COLUMN billing.revenue_forecast.forecast_minor IS 'before_minor moved by the median';
COMMENT ON COLUMN billing.revenue_forecast.low_minor IS 'before_minor moved by the smallest of them';
COMMENT ON COLUMN billing.revenue_forecast.high_minor IS 'before_minor moved by the largest of them';
