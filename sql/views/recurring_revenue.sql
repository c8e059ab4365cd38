-- Grain: one row a month, currency and customer, from the customer's first month with revenue to the newest of the currency.
-- A period of several months counts for each of them with an equal share, so that a yearly invoice is no month's growth.
-- An invoice over nothing, such as a trial's, begins nothing.
CREATE VIEW billing.recurring_revenue AS
WITH shares AS (
    SELECT
        r.currency,
        r.customer_id,
        (r.billing_month - make_interval(months => n.back))::date AS billing_month,
        sum(r.revenue_minor::numeric / r.months) AS share_minor
    FROM billing.invoice_revenue AS r
    CROSS JOIN LATERAL generate_series(0, r.months - 1) AS n (back)
    WHERE r.meter <> 'adjustments'
    GROUP BY r.currency, r.customer_id, (r.billing_month - make_interval(months => n.back))::date
),

firsts AS (
    SELECT
        currency,
        customer_id,
        min(billing_month) FILTER (WHERE share_minor <> 0) AS first_month,
        max(max(billing_month)) OVER (PARTITION BY currency) AS newest_month
    FROM shares
    GROUP BY currency, customer_id
),

drafts AS (
    SELECT DISTINCT customer_id, currency, billing_month FROM billing.invoices WHERE status = 'draft'
)

SELECT
    m.billing_month::date AS billing_month,
    f.currency,
    f.customer_id,
    trim_scale(round(coalesce(s.share_minor, 0), 6)) AS mrr_minor
FROM firsts AS f
CROSS JOIN LATERAL generate_series(f.first_month::timestamp, f.newest_month::timestamp, interval '1 month') AS m (billing_month)
LEFT JOIN shares AS s ON f.currency = s.currency AND f.customer_id = s.customer_id AND m.billing_month::date = s.billing_month
LEFT JOIN drafts AS d ON f.currency = d.currency AND f.customer_id = d.customer_id AND m.billing_month::date = d.billing_month
WHERE d.customer_id IS NULL;

COMMENT ON VIEW billing.recurring_revenue IS 'One row a month, currency and customer: what recurs (MRR). Without adjustments, net of credit notes; months that are still drafts for the customer are missing';
COMMENT ON COLUMN billing.recurring_revenue.billing_month IS 'Month';
COMMENT ON COLUMN billing.recurring_revenue.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.recurring_revenue.customer_id IS 'Customer';
COMMENT ON COLUMN billing.recurring_revenue.mrr_minor IS 'Revenue of the month in minor units, exact to six decimals: of a period of several months an equal share. 0 after a customer left';
