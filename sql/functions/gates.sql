-- What a month needs before it is finalised.

CREATE OR REPLACE FUNCTION billing.check_gate_result() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.version > coalesce(
        (SELECT m.version FROM billing.asset_months AS m WHERE m.asset = new.asset AND m.billing_month = new.billing_month), 0
    ) THEN
        RAISE EXCEPTION 'gate %.% saw version % of month %, which does not exist yet',
            new.asset, new.check_name, new.version, new.billing_month USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_gate_result IS 'Trigger: nobody passes rows that are still to be written';

CREATE OR REPLACE FUNCTION billing.unmet_gates(month date)
RETURNS TABLE (asset text, check_name text, problem text)
LANGUAGE sql STABLE AS $$
SELECT g.asset, g.check_name,
    CASE
        WHEN m.asset IS NULL THEN 'the month was never built'
        WHEN r.passed IS NULL THEN format('not checked for version %s of the rows', m.version)
        ELSE format('failed for %s rows', r.failing_rows)
    END
FROM billing.required_gates AS g
LEFT JOIN billing.asset_months AS m ON m.asset = g.asset AND m.billing_month = month
LEFT JOIN LATERAL (
    SELECT gr.passed, gr.failing_rows
    FROM billing.gate_results AS gr
    WHERE gr.asset = m.asset AND gr.billing_month = month AND gr.version = m.version AND gr.check_name = g.check_name
    ORDER BY gr.gate_result_id DESC
    LIMIT 1
) AS r ON true
WHERE r.passed IS NOT TRUE
UNION ALL
SELECT downstream.asset, 'built_from_current_rows',
    format('built from version %s of %s, which is now at %s', downstream.built_from, upstream.asset, upstream.version)
FROM (VALUES ('invoice_line_items', 'usage_snapshots'), ('invoices', 'invoice_line_items')) AS edge (below, above)
JOIN billing.asset_months AS downstream ON downstream.asset = edge.below AND downstream.billing_month = month
JOIN billing.asset_months AS upstream ON upstream.asset = edge.above AND upstream.billing_month = month
WHERE downstream.built_from IS DISTINCT FROM upstream.version
ORDER BY 1, 2;
$$;
COMMENT ON FUNCTION billing.unmet_gates IS 'Why the month''s drafts may not be finalised: a row a gate that has not passed for exactly the present rows; empty when they may';

CREATE OR REPLACE FUNCTION billing.check_finalisation() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    month date;
    unmet record;
    held text;
    missing text;
    running record;
BEGIN
    FOR month IN
        SELECT DISTINCT n.billing_month
        FROM new_rows AS n JOIN old_rows AS o USING (invoice_id)
        WHERE o.status = 'draft' AND n.status <> 'draft'
        ORDER BY n.billing_month
    LOOP
        PERFORM billing.lock_month('invoices', month);
        PERFORM billing.lock_month('invoice_line_items', month);
        PERFORM billing.lock_month('usage_snapshots', month);
        SELECT * INTO unmet FROM billing.unmet_gates(month) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'month % is not finalised: gate %.% %', month, unmet.asset, unmet.check_name, unmet.problem
                USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT n.customer_id INTO held
        FROM new_rows AS n JOIN old_rows AS o USING (invoice_id)
        WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month
            AND n.invoice_id IN (SELECT h.invoice_id FROM billing.held_invoices(month) AS h)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'customer % is on hold', held USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT n.customer_id, p.period_end INTO running
        FROM new_rows AS n JOIN old_rows AS o USING (invoice_id) JOIN billing.billing_periods AS p ON p.period_id = n.period_id
        WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month AND p.period_end > clock_timestamp()
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the period of customer % ends at %: nothing of it is final before', running.customer_id,
                running.period_end USING ERRCODE = 'restrict_violation';
        END IF;
        IF EXISTS (
            SELECT FROM new_rows AS n JOIN old_rows AS o USING (invoice_id) CROSS JOIN billing.finalisation_policy AS p
            WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month AND n.finalised_through <> 'person'
                AND billing.is_in_review(n.invoice_id, p.review_hours)
        ) THEN
            RAISE EXCEPTION 'month % is not finalised: the time for looking at its drafts is not over', month
                USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT billing.missing_approval(month, f.finalised_by, f.finalised_through) INTO missing
        FROM (
            SELECT DISTINCT n.finalised_by, n.finalised_through
            FROM new_rows AS n JOIN old_rows AS o USING (invoice_id)
            WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month
        ) AS f
        WHERE billing.missing_approval(month, f.finalised_by, f.finalised_through) IS NOT NULL
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'month % is not finalised: %', month, missing USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_finalisation IS 'Trigger: the line of no return. Locks the month''s rows, then refuses unless every gate passed for exactly these rows, every period has ended by the clock of Postgres, the time for looking at the drafts is over, nothing is on hold and, where that is needed, somebody else approved them';
