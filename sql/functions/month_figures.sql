-- What a month comes to, counted with the change of its rows, so that nobody counts a million of them to look at it.
--
-- Every session adds to figures of its own: two that charge at once would otherwise wait for each other. What holds is
-- the sum over them.

CREATE OR REPLACE FUNCTION billing.add_to_month(
    month date, subject text, state text, reason_code text, currency text, row_count bigint, total numeric
) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO billing.month_figures AS f
        (billing_month, subject, state, reason_code, currency, written_by, row_count, total)
    VALUES (month, subject, state, reason_code, currency, pg_backend_pid(), row_count, coalesce(total, 0))
    ON CONFLICT ON CONSTRAINT month_figures_one_a_session
    DO UPDATE SET row_count = f.row_count + excluded.row_count, total = f.total + excluded.total;
END;
$$;
COMMENT ON FUNCTION billing.add_to_month IS 'Adds rows, or takes them away, and what they come to';

CREATE OR REPLACE FUNCTION billing.count_built_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sign integer := CASE tg_op WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    IF tg_table_name = 'usage_snapshots' THEN
        PERFORM billing.add_to_month(
            c.billing_month, tg_table_name, NULL, NULL, NULL, sign * count(*), sign * sum(c.event_count)
        )
        FROM changed_rows AS c GROUP BY c.billing_month;
    ELSIF tg_table_name = 'invoice_line_items' THEN
        PERFORM billing.add_to_month(c.billing_month, tg_table_name, NULL, NULL, NULL, sign * count(*), 0)
        FROM changed_rows AS c GROUP BY c.billing_month;
    ELSE
        -- a customer counts with its first period of the month, and until its last one is gone
        PERFORM billing.add_to_month(c.billing_month, 'customers', NULL, NULL, NULL, sign * count(*), 0)
        FROM (
            SELECT p.billing_month, p.customer_id, CASE tg_op WHEN 'INSERT' THEN count(*) ELSE 0 END AS periods
            FROM changed_rows AS p GROUP BY p.billing_month, p.customer_id
        ) AS c
        WHERE c.periods = (
            SELECT count(*) FROM billing.billing_periods AS t
            WHERE t.billing_month = c.billing_month AND t.customer_id = c.customer_id
        )
        GROUP BY c.billing_month;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.count_built_rows IS 'Trigger: counts snapshots with their events, lines, and the customers of periods into month_figures';

CREATE OR REPLACE FUNCTION billing.count_drafts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tg_op IN ('DELETE', 'UPDATE') THEN
        PERFORM billing.add_to_month(
            o.billing_month, 'invoices', 'draft', NULL, o.currency, -count(*), -sum(o.total_minor)
        )
        FROM old_rows AS o WHERE o.status = 'draft' GROUP BY o.billing_month, o.currency;
    END IF;
    IF tg_op IN ('INSERT', 'UPDATE') THEN
        PERFORM billing.add_to_month(n.billing_month, 'invoices', 'draft', NULL, n.currency, count(*), sum(n.total_minor))
        FROM new_rows AS n WHERE n.status = 'draft' GROUP BY n.billing_month, n.currency;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.count_drafts IS 'Trigger: counts drafts into month_figures; an invoice that is final is counted by its charge';

CREATE OR REPLACE FUNCTION billing.count_charges() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        PERFORM billing.add_to_month(
            n.billing_month, 'invoices', n.state, n.reason_code, n.currency, count(*), sum(i.total_minor)
        )
        FROM new_rows AS n INNER JOIN billing.invoices AS i USING (invoice_id)
        GROUP BY n.billing_month, n.state, n.reason_code, n.currency;
        RETURN NULL;
    END IF;
    PERFORM billing.add_to_month(
        m.billing_month, 'invoices', m.state, m.reason_code, m.currency, sum(m.sign)::bigint, sum(m.sign * i.total_minor)
    )
    FROM (
        SELECT 1 AS sign, n.invoice_id, n.billing_month, n.state, n.reason_code, n.currency FROM new_rows AS n
        UNION ALL
        SELECT -1, o.invoice_id, o.billing_month, o.state, o.reason_code, o.currency FROM old_rows AS o
    ) AS m
    INNER JOIN billing.invoices AS i USING (invoice_id)
    GROUP BY m.billing_month, m.state, m.reason_code, m.currency
    HAVING sum(m.sign) <> 0 OR sum(m.sign * i.total_minor) <> 0;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.count_charges IS 'Trigger: counts final invoices by the state and reason of their charge into month_figures';

CREATE OR REPLACE FUNCTION billing.counted_months()
RETURNS TABLE (
    billing_month date, subject text, state text, reason_code text, currency text, row_count bigint, total numeric
)
LANGUAGE sql STABLE AS $$
SELECT p.billing_month, 'customers', NULL, NULL, NULL, count(DISTINCT p.customer_id), 0
FROM billing.billing_periods AS p GROUP BY p.billing_month
UNION ALL
SELECT s.billing_month, 'usage_snapshots', NULL, NULL, NULL, count(*), sum(s.event_count)
FROM billing.usage_snapshots AS s GROUP BY s.billing_month
UNION ALL
SELECT l.billing_month, 'invoice_line_items', NULL, NULL, NULL, count(*), 0
FROM billing.invoice_line_items AS l GROUP BY l.billing_month
UNION ALL
SELECT i.billing_month, 'invoices', coalesce(c.state, i.status), c.reason_code, i.currency, count(*), sum(i.total_minor)
FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
GROUP BY i.billing_month, coalesce(c.state, i.status), c.reason_code, i.currency
$$;
COMMENT ON FUNCTION billing.counted_months IS 'What month_figures come to, counted anew from the rows themselves; over very many of them it takes a while';

CREATE OR REPLACE FUNCTION billing.count_months_again() RETURNS void
LANGUAGE sql AS $$
TRUNCATE billing.month_figures;
INSERT INTO billing.month_figures
(billing_month, subject, state, reason_code, currency, row_count, total, written_by)
SELECT c.billing_month, c.subject, c.state, c.reason_code, c.currency, c.row_count, c.total, 0
FROM billing.counted_months() AS c
$$;
COMMENT ON FUNCTION billing.count_months_again IS 'Puts month_figures right, where rows came past the triggers; only their owner may';

-- What a session is changing at the moment is left to the next time: nobody waits, so that nobody waits for each other, and
-- the newest version of a row is what is taken.
CREATE OR REPLACE FUNCTION billing.fold_month_figures() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    folded bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('billing.fold_month_figures'));
    WITH free AS MATERIALIZED (
        SELECT f.billing_month, f.subject, f.state, f.reason_code, f.currency, f.written_by
        FROM billing.month_figures AS f WHERE f.written_by <> 0 FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        DELETE FROM billing.month_figures AS f USING free AS t
        WHERE f.billing_month = t.billing_month AND f.subject = t.subject AND f.written_by = t.written_by
            AND (f.state, f.reason_code, f.currency) IS NOT DISTINCT FROM (t.state, t.reason_code, t.currency)
        RETURNING f.*
    ),
    together AS (
        INSERT INTO billing.month_figures AS f
            (billing_month, subject, state, reason_code, currency, written_by, row_count, total)
        SELECT t.billing_month, t.subject, t.state, t.reason_code, t.currency, 0, sum(t.row_count)::bigint, sum(t.total)
        FROM taken AS t GROUP BY t.billing_month, t.subject, t.state, t.reason_code, t.currency
        ON CONFLICT ON CONSTRAINT month_figures_one_a_session
        DO UPDATE SET row_count = f.row_count + excluded.row_count, total = f.total + excluded.total
    )
    SELECT count(*) INTO folded FROM taken;
    RETURN folded;
END;
$$;
COMMENT ON FUNCTION billing.fold_month_figures IS 'Makes one row of those that sessions wrote, with the same sums; returns how many went';
