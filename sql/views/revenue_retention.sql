-- Grain: one row a cohort (the customers whose first month it was), currency and number of months since.
CREATE VIEW billing.revenue_retention AS
WITH numbered AS (
    SELECT
        r.*,
        min(r.billing_month) OVER (PARTITION BY r.currency, r.customer_id) AS cohort_month
    FROM billing.recurring_revenue AS r
),

counted AS (
    SELECT
        cohort_month,
        currency,
        (
            extract(YEAR FROM age(billing_month, cohort_month)) * 12 + extract(MONTH FROM age(billing_month, cohort_month))
        )::integer AS months_since,
        count(*) FILTER (WHERE mrr_minor > 0) AS customers,
        sum(mrr_minor) AS mrr_minor
    FROM numbered
    GROUP BY cohort_month, currency, billing_month
)

SELECT
    c.cohort_month,
    c.currency,
    c.months_since,
    c.customers,
    round(100.0 * c.customers / nullif(f.customers, 0), 2) AS customers_percent,
    c.mrr_minor,
    round(100 * c.mrr_minor / nullif(f.mrr_minor, 0), 2) AS mrr_percent
FROM counted AS c
INNER JOIN counted AS f ON c.cohort_month = f.cohort_month AND c.currency = f.currency AND f.months_since = 0;

COMMENT ON VIEW billing.revenue_retention IS 'One row a cohort of customers, currency and months since its first: who stayed, and what they pay';
COMMENT ON COLUMN billing.revenue_retention.cohort_month IS 'The first month with revenue of these customers';
COMMENT ON COLUMN billing.revenue_retention.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_retention.months_since IS 'Months since then';
COMMENT ON COLUMN billing.revenue_retention.customers IS 'Customers of the cohort with recurring revenue';
COMMENT ON COLUMN billing.revenue_retention.customers_percent IS 'customers in percent of the first months';
COMMENT ON COLUMN billing.revenue_retention.mrr_minor IS 'Their MRR';
COMMENT ON COLUMN billing.revenue_retention.mrr_percent IS 'mrr_minor in percent of the first months: net revenue retention';
