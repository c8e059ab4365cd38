-- Grain: one row a month, currency and customer, from the customer's first month with revenue to the newest of the currency.
-- A period of several months counts for each of them with an equal share, so that a yearly invoice is no month's growth.
-- An invoice over nothing, such as a trial's, begins nothing.
-- What an invoice recurs with is its sum over invoice_revenue without adjustments. It is taken from the total, which is
-- that of the lines and adjustments: of a million invoices that takes less than half the time. A test holds both together.
CREATE VIEW billing.recurring_revenue AS
WITH adjusted AS (
    SELECT invoice_id, sum(amount_minor) AS adjusted_minor, count(*) AS line_count
    FROM billing.invoice_adjustments
    GROUP BY invoice_id
),

credited AS (
    SELECT invoice_id, sum(amount_minor) AS credited_minor
    FROM billing.credited_lines
    GROUP BY invoice_id
),

recurring AS (
    SELECT
        i.currency,
        i.customer_id,
        i.billing_month,
        i.total_minor - coalesce(a.adjusted_minor, 0) - coalesce(c.credited_minor, 0) AS revenue_minor,
        billing.months_covered(p.period_start, p.period_end) AS months
    FROM billing.invoices AS i
    INNER JOIN billing.billing_periods AS p USING (period_id)
    LEFT JOIN adjusted AS a USING (invoice_id)
    LEFT JOIN credited AS c USING (invoice_id)
    WHERE billing.is_final(i.status) AND (i.line_count > coalesce(a.line_count, 0) OR c.invoice_id IS NOT NULL)
),

shares AS (
    SELECT
        r.currency,
        r.customer_id,
        (r.billing_month - make_interval(months => n.back))::date AS billing_month,
        sum(r.revenue_minor::numeric / r.months) AS share_minor
    FROM recurring AS r
    CROSS JOIN LATERAL generate_series(0, r.months - 1) AS n (back)
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
