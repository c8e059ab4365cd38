-- What each role may do: docs/security.md has the table, a test compares. Applied after every migration.
-- The pipeline reads and adds to every table; what it may change or delete is named. Nobody but the owner may truncate a
-- table, change its shape or switch a trigger off.
REVOKE ALL ON SCHEMA billing, billing_migrations FROM public, billing_pipeline, billing_api, billing_analyst, billing_personal;
REVOKE ALL ON ALL TABLES IN SCHEMA billing, billing_migrations
FROM public, billing_pipeline, billing_api, billing_analyst, billing_personal;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA billing FROM public, billing_pipeline, billing_api, billing_analyst, billing_personal;

GRANT USAGE ON SCHEMA billing TO billing_pipeline, billing_analyst, billing_personal;
GRANT USAGE ON SCHEMA billing_migrations TO billing_pipeline;
GRANT SELECT ON ALL TABLES IN SCHEMA billing, billing_migrations TO billing_pipeline;
GRANT INSERT ON ALL TABLES IN SCHEMA billing TO billing_pipeline;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA billing TO billing_pipeline;
REVOKE INSERT ON billing.audit_entries, billing.month_figures, billing.stored_measures, billing.stored_measure_rows
FROM billing_pipeline;
-- who only reads does not choose what others are shown
GRANT EXECUTE ON FUNCTION billing.store_measure TO billing_pipeline;

DO $$
DECLARE
    may record;
BEGIN
    FOR may IN VALUES
        -- table, columns that may be updated, whether rows may be deleted
        ('access_links', 'used_at', FALSE),
        ('access_sessions', 'ended_at', FALSE),
        ('adjustments', 'guard', FALSE),
        ('alerts', '*', FALSE),
        ('api_answers', '*', TRUE),
        ('api_tokens', 'expires_at, last_used_at, revoked_at, revoked_by', FALSE),
        ('asset_months', 'as_of, built_from, carried_forward_from, guard, known_until, run_id, version', FALSE),
        ('book_notices_off', '', TRUE),
        ('bounced_addresses', 'release_reason, released_at, released_by', FALSE),
        ('billing_drift', '', TRUE),
        ('billing_periods', 'follows_end, previous_end', TRUE),
        (
            'budgets',
            'author, changed_at, currency, ended_at, limit_minor, limit_quantity, reason, thresholds_percent',
            FALSE
        ),
        (
            'charge_brakes',
            'changed_by, charges_enabled, consecutive_failures, incarnation, needs_reconciliation, probe_at, '
            || 'reason',
            FALSE
        ),
        ('charge_follow_ups', 'attempt, cause, due_at, offered_at, offers, step', TRUE),
        ('charge_requests', '', TRUE),
        ('contract_terms', 'withdrawn_at, withdrawn_by', FALSE),
        ('coupons', 'redemptions', FALSE),
        ('credit_grants', 'balance_minor', FALSE),
        ('credit_note_numbering', 'last_number', FALSE),
        (
            'credit_notes',
            'attempt, outcome_unknown_since, reason_code, state, state_reason, stripe_credit_note_id',
            FALSE
        ),
        ('customer_standings', 'since, state', FALSE),
        ('customer_builds', 'as_of, carried_forward_from, known_until, run_id', TRUE),
        (
            'customers',
            'address_line1, address_line2, billing_cycle, city, country, currency, cycle_anchor, email, '
            || 'imported_at, language, name, payment_terms_days, postal_code, state, stripe_customer_id, tax_id, '
            || 'timezone',
            FALSE
        ),
        -- locked for a moment; a trigger refuses every change
        ('discount_grants', 'term_id', FALSE),
        ('dunning_cases', 'closed_at, level, outcome', FALSE),
        ('failed_looks', 'error, failed_at', FALSE),
        ('failed_refunds', 'attempt, author, method, reason, settled_at, state, stripe_id', FALSE),
        ('finalisation_policy', '*', FALSE),
        ('holds', 'release_reason, released_at, released_by', FALSE),
        ('invoice_credits', 'credited_minor, paid_minor, refunded_minor', FALSE),
        ('invoice_line_items', '', TRUE),
        ('invoice_numbering', 'last_number', FALSE),
        ('invoices', 'credits_minor, finalised_at, finalised_by, finalised_through, invoice_number, status', TRUE),
        ('meters', 'aggregation, dimensions, events, property, unit', TRUE),
        (
            'month_books',
            'audit_seal, audit_seal_no, closed_at, closed_by, invoice_count, invoices_sha256, payment_count, '
            || 'payments_sha256, reconciliation_id, stripe_invoice_count, stripe_invoices_sha256, totals',
            FALSE
        ),
        ('notice_addresses', 'release_reason, released_at, released_by', FALSE),
        ('notice_holds', 'release_reason, released_at, released_by', FALSE),
        ('notice_hours', 'release_reason, released_at, released_by', FALSE),
        ('notices_off', 'release_reason, released_at, released_by', FALSE),
        ('notice_sendings', 'attempts, claimed_until, doubts, due_at, last_error, sent_at, state', FALSE),
        ('operators', 'release_reason, released_at, released_by', FALSE),
        ('plan_trials', '', TRUE),
        ('price_books', 'content_sha256, loaded_at, name, run_id', TRUE),
        ('price_versions', '', TRUE),
        ('prices', 'retired_at', FALSE),
        ('retired_prices', '', TRUE),
        ('settlement_policies', 'author, method, pay_back, threshold_minor, two_people_above_minor', FALSE),
        ('settlements', 'end_reason, ended_at, ended_by, status', FALSE),
        ('started_runs', 'ended_at', FALSE),
        (
            'stripe_charges',
            'attempt, bank_payment_id, outcome_unknown_since, reason, reason_code, state, stripe_currency, '
            || 'stripe_customer_id, stripe_invoice_id, stripe_total_minor',
            FALSE
        ),
        ('stripe_credit_notes', '*', FALSE),
        ('stripe_customers', '*', FALSE),
        ('stripe_disputes', '*', FALSE),
        (
            'stripe_event_work',
            'applied_at, attempts, due_at, failures, last_error, pending_since, replays, run_id, state',
            FALSE
        ),
        ('stripe_payment_methods', '*', FALSE),
        (
            'stripe_payments',
            'created_at, currency, invoice_id, paid_at, paid_minor, payment_intent_id, requested_minor, status, '
            || 'stripe_invoice_id',
            FALSE
        ),
        ('stripe_refunds', '*', FALSE),
        ('stripe_subscriptions', '*', FALSE),
        ('terms', 'loaded_at, retired_at, until_on', FALSE),
        ('unbilled_periods', 'lifted_at, lifted_by', FALSE),
        ('usage_delta_levels', 'level', TRUE),
        ('usage_quarantine', 'worth_minor', TRUE),
        ('usage_series', 'first_occurred_at', FALSE),
        ('usage_snapshots', '', TRUE),
        ('webhook_endpoints', 'disabled_at, disabled_by', FALSE),
        ('webhook_secrets', 'expires_at', FALSE)
    LOOP
        IF may.column2 <> '' THEN
            EXECUTE format(
                'GRANT UPDATE %s ON billing.%I TO billing_pipeline', nullif('(' || may.column2 || ')', '(*)'), may.column1
            );
        END IF;
        IF may.column3 THEN
            EXECUTE format('GRANT DELETE ON billing.%I TO billing_pipeline', may.column1);
        END IF;
    END LOOP;

    -- Analysts read views and tables, but for who somebody is; billing_personal reads that as well.
    FOR may IN
        SELECT c.relname, string_agg(quote_ident(a.attname), ', ') AS columns
        FROM pg_class AS c INNER JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('v', 'r', 'p')
            AND a.attnum > 0 AND NOT a.attisdropped
            AND c.relname NOT IN (
                'access_links', 'access_sessions', 'api_tokens', 'invoice_pages', 'notices', 'stripe_event_conflicts',
                'stripe_events', 'webhook_secrets'
            )
            AND a.attname NOT IN (
                'address_line1', 'address_line2', 'city', 'customer_name', 'email', 'name', 'postal_code', 'tax_id'
            )
        GROUP BY c.relname
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON billing.%I TO billing_analyst', may.columns, may.relname);
        EXECUTE format('GRANT SELECT ON billing.%I TO billing_personal', may.relname);
    END LOOP;
END;
$$;
