-- Grain: one row a month and currency.
CREATE VIEW billing.revenue_summary AS
SELECT
    r.billing_month,
    r.currency,
    count(*) FILTER (WHERE r.mrr_minor > 0) AS customers,
    sum(r.mrr_minor) AS mrr_minor,
    round(sum(r.mrr_minor) / nullif(count(*) FILTER (WHERE r.mrr_minor > 0), 0), 2) AS arpu_minor,
    coalesce(sum(r.change_minor) FILTER (WHERE r.movement = 'new'), 0) AS new_minor,
    coalesce(sum(r.change_minor) FILTER (WHERE r.movement = 'expansion'), 0) AS expansion_minor,
    coalesce(sum(r.change_minor) FILTER (WHERE r.movement = 'contraction'), 0) AS contraction_minor,
    coalesce(sum(r.change_minor) FILTER (WHERE r.movement = 'churned'), 0) AS churned_minor,
    coalesce(sum(r.change_minor) FILTER (WHERE r.movement = 'reactivated'), 0) AS reactivated_minor
FROM billing.revenue_changes AS r
GROUP BY r.billing_month, r.currency;

COMMENT ON VIEW billing.revenue_summary IS 'One row a month and currency: MRR, customers, revenue a customer, and the movements that lead from the month before to it';
COMMENT ON COLUMN billing.revenue_summary.billing_month IS 'Month';
COMMENT ON COLUMN billing.revenue_summary.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.revenue_summary.customers IS 'Customers with recurring revenue';
COMMENT ON COLUMN billing.revenue_summary.mrr_minor IS 'Sum of their MRR';
COMMENT ON COLUMN billing.revenue_summary.arpu_minor IS 'mrr_minor a customer, rounded to a hundredth of a minor unit';
COMMENT ON COLUMN billing.revenue_summary.new_minor IS 'Of customers that had none before';
COMMENT ON COLUMN billing.revenue_summary.expansion_minor IS 'Of customers that had less';
COMMENT ON COLUMN billing.revenue_summary.contraction_minor IS 'Of customers that had more; negative';
COMMENT ON COLUMN billing.revenue_summary.churned_minor IS 'Of customers that have none any more; negative';
COMMENT ON COLUMN billing.revenue_summary.reactivated_minor IS 'Of customers that had none in the month before, but earlier';
