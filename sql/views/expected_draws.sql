-- Grain: one row a draft whose customer has prepaid credits, with what it would draw if all drafts before it became final
-- today. Drafts themselves know nothing of credits.
CREATE VIEW billing.expected_draws AS
SELECT
    d.billing_month,
    d.invoice_id,
    d.customer_id,
    d.currency,
    d.total_minor,
    least(d.total_minor, greatest(0, d.available_minor - d.before_minor))::bigint AS draws_minor,
    (d.total_minor - least(d.total_minor, greatest(0, d.available_minor - d.before_minor)))::bigint AS due_minor
FROM (
    SELECT
        i.billing_month,
        i.invoice_id,
        i.customer_id,
        i.currency,
        i.total_minor,
        g.available_minor,
        coalesce(sum(i.total_minor) OVER (
            PARTITION BY i.customer_id, i.currency ORDER BY p.period_start, i.supplement_no, i.invoice_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS before_minor
    FROM billing.invoices AS i
    INNER JOIN billing.billing_periods AS p USING (period_id)
    INNER JOIN (
        SELECT k.customer_id, k.currency, sum(k.balance_minor) AS available_minor
        FROM billing.credit_grants AS k
        INNER JOIN billing.customers AS c USING (customer_id)
        WHERE k.balance_minor > 0
            AND (k.expires_on IS NULL OR k.expires_on >= (clock_timestamp() AT TIME ZONE c.timezone)::date)
        GROUP BY k.customer_id, k.currency
    ) AS g ON i.customer_id = g.customer_id AND i.currency = g.currency
    WHERE i.status = 'draft'
) AS d;

COMMENT ON VIEW billing.expected_draws IS 'One row a draft whose customer has prepaid credits: what it would draw if it became final today, after the drafts before it';
COMMENT ON COLUMN billing.expected_draws.billing_month IS 'Partition';
COMMENT ON COLUMN billing.expected_draws.invoice_id IS 'The draft';
COMMENT ON COLUMN billing.expected_draws.customer_id IS 'Who pays';
COMMENT ON COLUMN billing.expected_draws.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.expected_draws.total_minor IS 'Total of the draft, in minor units';
COMMENT ON COLUMN billing.expected_draws.draws_minor IS 'What it would draw';
COMMENT ON COLUMN billing.expected_draws.due_minor IS 'What would be asked for at Stripe';
