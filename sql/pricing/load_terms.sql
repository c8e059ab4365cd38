-- Grain: one row a term of a book: entered, or in use again.
INSERT INTO billing.terms AS t (
    term_id, kind, name, currency, version_id, effective_from, until_on, customer_id, plan, meters, amount, percent, prorate,
    description, position
) VALUES (
    :term_id, :kind, :name, :currency, :version_id, :effective_from, :until_on, :customer_id, :plan, :meters, :amount,
    :percent, :prorate, :description, :position
)
ON CONFLICT (term_id) DO UPDATE SET retired_at = NULL, loaded_at = clock_timestamp() WHERE t.retired_at IS NOT NULL
