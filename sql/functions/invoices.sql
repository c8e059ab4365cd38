-- How lines and invoices come to be and change, and who is invoiced in a month.

CREATE OR REPLACE FUNCTION billing.bump_months_of_lines() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT tg_table_name, billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (invoice_id)) THEN
        RAISE EXCEPTION 'lines of an existing invoice are not changed; a draft is dropped first'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.bump_months_of_lines IS 'Trigger: new version of the month; lines change only while their invoice does not exist, so a total always equals its lines';

CREATE OR REPLACE FUNCTION billing.check_new_invoices() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT tg_table_name, billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF tg_op = 'DELETE' THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM changed_rows WHERE status <> 'draft') THEN
        RAISE EXCEPTION 'an invoice starts as a draft' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM changed_rows AS c
        WHERE c.revision > 0 AND NOT EXISTS (
            SELECT FROM billing.invoices AS i WHERE i.invoice_id = c.supersedes_invoice_id AND i.status = 'void'
        )
    ) THEN
        RAISE EXCEPTION 'a revision replaces the voided one before it' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM changed_rows AS c
        WHERE c.supplement_no > 0 AND NOT EXISTS (
            SELECT FROM billing.invoices AS i
            WHERE i.period_id = c.period_id AND i.supplement_no = 0 AND i.status IN ('open', 'paid', 'uncollectible')
        )
    ) THEN
        RAISE EXCEPTION 'a supplementary invoice adds to a final one of its period' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM changed_rows AS c
        JOIN billing.invoice_adjustments AS u USING (invoice_id)
        JOIN billing.adjustments AS a USING (adjustment_id)
        WHERE (c.supplement_no > 0) <> a.on_supplement OR (a.on_supplement AND a.corrects_period_id <> c.period_id)
    ) OR EXISTS (
        SELECT FROM changed_rows AS c JOIN billing.invoice_line_items AS l USING (invoice_id) WHERE c.supplement_no > 0
    ) THEN
        RAISE EXCEPTION 'a supplementary invoice carries the adjustments that are meant for it, and nothing else'
            USING ERRCODE = 'restrict_violation';
    END IF;
    PERFORM billing.lock_month('invoice_line_items', billing_month)
    FROM (SELECT DISTINCT billing_month FROM changed_rows ORDER BY billing_month) AS months;
    -- one probe an invoice: with a join, LIMIT would make the planner hope for an early hit and search the lines for each
    SELECT c.invoice_id, c.total_minor, l.total + u.total AS total INTO wrong
    FROM changed_rows AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(li.amount_minor), 0) AS total, count(*) AS line_count,
            coalesce(bool_and(li.period_id = c.period_id), true) AS same_period
        FROM billing.invoice_line_items AS li
        WHERE li.invoice_id = c.invoice_id
    ) AS l
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(ia.amount_minor), 0) AS total, count(*) AS line_count
        FROM billing.invoice_adjustments AS ia
        WHERE ia.invoice_id = c.invoice_id
    ) AS u
    WHERE (c.total_minor, c.line_count) IS DISTINCT FROM (l.total + u.total, l.line_count + u.line_count)
        OR NOT l.same_period
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice %: total % is not the sum of its lines %', wrong.invoice_id, wrong.total_minor, wrong.total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_new_invoices IS 'Trigger: new version of the month; an invoice enters as a draft whose total and count are those of its lines and adjustments, a revision after the voided one, a supplement after the final one';

CREATE OR REPLACE FUNCTION billing.check_invoice_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' THEN
        IF old.status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is finalised and stays', old.number USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN old;
    END IF;
    IF (new.invoice_id, new.customer_id, new.period_id, new.billing_month, new.revision, new.currency, new.total_minor,
        new.line_count, new.run_id, new.supplement_no, new.supersedes_invoice_id)
        IS DISTINCT FROM
        (old.invoice_id, old.customer_id, old.period_id, old.billing_month, old.revision, old.currency, old.total_minor,
        old.line_count, old.run_id, old.supplement_no, old.supersedes_invoice_id)
        OR (old.status <> 'draft'
            AND (new.invoice_number, new.finalised_at, new.finalised_by, new.finalised_through)
            IS DISTINCT FROM (old.invoice_number, old.finalised_at, old.finalised_by, old.finalised_through))
    THEN
        RAISE EXCEPTION 'invoice %: only the status moves', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    -- credits are drawn once, after the number and before the intent
    IF new.credits_minor <> old.credits_minor AND (
        old.credits_minor <> 0 OR (old.status, new.status) <> ('open', 'open')
        OR EXISTS (SELECT FROM billing.stripe_charges AS c WHERE c.invoice_id = old.invoice_id)
    ) THEN
        RAISE EXCEPTION 'invoice %: credits are drawn once, when it becomes final', old.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.status = 'draft' AND new.status <> 'draft' THEN
        -- whoever does not say how it is known who they are is unknown
        new.finalised_by = coalesce(new.finalised_by, 'unknown');
        new.finalised_through = coalesce(new.finalised_through, 'unknown');
    END IF;
    IF new.status <> old.status AND (old.status, new.status) NOT IN (
        ('draft', 'open'), ('open', 'paid'), ('open', 'void'), ('open', 'uncollectible'),
        ('uncollectible', 'paid'), ('uncollectible', 'void')
    ) THEN
        RAISE EXCEPTION 'invoice %: status does not go from % to %', old.invoice_id, old.status, new.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_change IS 'Trigger: a finalised invoice keeps its content and number, and names who finalised it; statuses only move forward';

CREATE OR REPLACE FUNCTION billing.time_drafts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.draft_times (invoice_id) SELECT n.invoice_id FROM new_rows AS n;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.time_drafts IS 'Trigger: writes down when invoices were drafted';

CREATE OR REPLACE FUNCTION billing.check_draft_time_goes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = old.invoice_id) THEN
        RAISE EXCEPTION 'a draft keeps its time' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN old;
END;
$$;
COMMENT ON FUNCTION billing.check_draft_time_goes IS 'Trigger: the time of a draft goes only with the draft';

CREATE OR REPLACE FUNCTION billing.is_in_review(draft_id uuid, hours integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT hours > 0 AND NOT EXISTS (
    SELECT FROM billing.draft_times AS d
    WHERE d.invoice_id = draft_id AND d.drafted_at <= clock_timestamp() - make_interval(hours => hours)
)
$$;
COMMENT ON FUNCTION billing.is_in_review IS 'Whether the time for looking at a draft is not over; without a time written down it has just begun';

CREATE OR REPLACE FUNCTION billing.invoice_coverage(month date)
RETURNS TABLE (customer_id text, invoice_id uuid, reason text)
LANGUAGE plpgsql STABLE AS $$ -- not SQL: its body would need the view of contracts before there are views
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        c.customer_id::text,
        i.invoice_id,
        CASE
            WHEN i.invoice_id IS NOT NULL OR l.customer_id IS NOT NULL THEN NULL
            WHEN w.customer_id IS NOT NULL THEN 'voided and not billed again'
            WHEN c.status = 'inactive' THEN 'inactive'
            WHEN p.customer_id IS NULL AND c.cycle_anchor >= (month + interval '1 month')::date THEN 'before the first billed day'
            WHEN p.customer_id IS NULL AND k.customer_id IS NULL THEN 'no contract in the month'
            WHEN p.customer_id IS NULL AND clock_timestamp() < (month + interval '1 month') AT TIME ZONE c.timezone
                THEN 'the period has not ended'
            WHEN p.customer_id IS NULL AND c.billing_cycle <> 'calendar_month' THEN 'no period ends in the month'
            WHEN q.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'all usage is in quarantine'
            WHEN p.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'no usage'
            WHEN p.customer_id IS NOT NULL AND q.customer_id IS NOT NULL THEN 'all usage is in quarantine'
        END
    FROM billing.customers AS c
    LEFT JOIN (
        SELECT DISTINCT t.customer_id FROM billing.contracts AS t
        WHERE t.starts_on < (month + interval '1 month')::date AND (t.ends_on IS NULL OR t.ends_on >= month)
    ) AS k ON k.customer_id = c.customer_id
    LEFT JOIN billing.invoices AS i ON i.customer_id = c.customer_id AND i.billing_month = month AND i.status <> 'void'
    LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.billing_periods AS t WHERE t.billing_month = month) AS p
        ON p.customer_id = c.customer_id
    LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_snapshots AS t WHERE t.billing_month = month) AS s
        ON s.customer_id = c.customer_id
    LEFT JOIN (
        SELECT DISTINCT t.customer_id FROM billing.invoice_line_items AS t
        WHERE t.billing_month = month
            AND NOT EXISTS (SELECT FROM billing.invoices AS v WHERE v.invoice_id = t.invoice_id AND v.status = 'void')
    ) AS l ON l.customer_id = c.customer_id
    LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_quarantine AS t WHERE t.billing_month = month) AS q
        ON q.customer_id = c.customer_id
    LEFT JOIN (
        SELECT DISTINCT t.customer_id
        FROM billing.unbilled_periods AS u JOIN billing.billing_periods AS t USING (period_id)
        WHERE t.billing_month = month AND u.lifted_at IS NULL
    ) AS w ON w.customer_id = c.customer_id;
END;
$$;
COMMENT ON FUNCTION billing.invoice_coverage IS 'One row a customer (and invoice) of the month: the invoice, or why there is none. Neither means that something was lost';

-- What came after the drafts is little, and found by when it came: no month is measured for this.
CREATE OR REPLACE FUNCTION billing.outdated_drafts(month date)
RETURNS TABLE (invoice_id uuid, reason text)
LANGUAGE sql STABLE AS $$
WITH drafted_alone AS MATERIALIZED ( -- few, so that the cut-off need not be looked up for each draft
    SELECT b.asset, b.customer_id, o.known_until
    FROM billing.customer_builds AS b
    CROSS JOIN LATERAL billing.cut_off(b.asset, b.billing_month, b.customer_id) AS o
    WHERE b.billing_month = month
),
drafts AS MATERIALIZED (
    SELECT
        i.invoice_id, i.customer_id, p.currency, p.timezone, p.start_date, p.period_start, p.period_end, p.plan,
        coalesce(u.known_until, (SELECT o.known_until FROM billing.cut_off('usage_snapshots', month, NULL) AS o))
            AS usage_known_until,
        coalesce(l.known_until, (SELECT o.known_until FROM billing.cut_off('invoice_line_items', month, NULL) AS o))
            AS terms_known_until
    FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)
    LEFT JOIN drafted_alone AS u ON u.asset = 'usage_snapshots' AND u.customer_id = i.customer_id
    LEFT JOIN drafted_alone AS l ON l.asset = 'invoice_line_items' AND l.customer_id = i.customer_id
    WHERE i.billing_month = month AND i.status = 'draft' AND i.supplement_no = 0
),
newer AS MATERIALIZED (
    SELECT
        e.event_id, e.customer_id, e.meter, e.occurred_at, e.received_at, c.event_id IS NOT NULL AS corrects,
        o.occurred_at AS instead_of
    FROM billing.usage_events AS e
    LEFT JOIN billing.usage_corrections AS c ON c.event_id = e.event_id
    LEFT JOIN billing.usage_events AS o ON o.event_id = c.corrects_event_id
    WHERE e.received_at > (SELECT min(t.usage_known_until) FROM drafts AS t)
),
in_force AS MATERIALIZED (
    SELECT d.currency, d.start_date, (
        SELECT v.version_id FROM billing.price_versions AS v
        WHERE v.currency = d.currency AND v.effective_from <= d.start_date
        ORDER BY v.effective_from DESC LIMIT 1
    ) AS version_id
    FROM (SELECT DISTINCT t.currency, t.start_date FROM drafts AS t) AS d
)
SELECT d.invoice_id, CASE WHEN bool_or(n.corrects) THEN 'corrected_event' ELSE 'late_event' END
FROM drafts AS d
JOIN newer AS n ON n.customer_id = d.customer_id AND n.received_at > d.usage_known_until
WHERE (n.occurred_at >= d.period_start AND n.occurred_at < d.period_end)
    OR (n.instead_of >= d.period_start AND n.instead_of < d.period_end)
    -- a level that was reported before the period still holds in it
    OR (least(n.occurred_at, n.instead_of) < d.period_start AND EXISTS (
        SELECT FROM billing.meters AS t
        WHERE t.currency = d.currency AND t.meter = n.meter AND t.aggregation NOT IN ('constant', 'sum', 'count', 'unique')
    ))
GROUP BY d.invoice_id
UNION ALL
SELECT DISTINCT d.invoice_id, 'price_change'
FROM drafts AS d
JOIN billing.invoice_line_items AS l USING (invoice_id)
JOIN billing.prices AS p USING (price_id)
JOIN in_force AS f ON f.currency = d.currency AND f.start_date = d.start_date
WHERE p.retired_at IS NOT NULL OR l.price_version <> f.version_id
    OR (p.customer_id IS NULL AND EXISTS (
        SELECT FROM billing.prices AS own
        WHERE (own.customer_id = d.customer_id OR (p.plan IS NULL AND own.plan = d.plan)) AND own.currency = d.currency AND own.version_id = p.version_id
            AND own.meter = p.meter AND own.dimensions = p.dimensions AND own.retired_at IS NULL
    ))
UNION ALL
SELECT d.invoice_id, 'term_change'
FROM drafts AS d
WHERE EXISTS (
    SELECT FROM billing.invoice_line_items AS l JOIN billing.terms AS t USING (term_id)
    WHERE l.invoice_id = d.invoice_id AND (t.retired_at IS NOT NULL OR t.until_on < d.start_date OR EXISTS (
        SELECT FROM billing.discount_grants AS g
        WHERE g.term_id = t.term_id AND g.periods_max <= (
            SELECT count(*) FROM billing.discount_uses AS u JOIN billing.invoices AS i USING (invoice_id)
            WHERE u.term_id = g.term_id AND i.status <> 'void'
        )
    ))
) OR EXISTS (
    SELECT FROM billing.discount_grants AS g JOIN billing.terms AS t USING (term_id)
    WHERE g.customer_id = d.customer_id AND t.currency = d.currency AND t.effective_from <= d.start_date
        AND (t.until_on IS NULL OR t.until_on >= d.start_date)
        AND t.loaded_at > d.terms_known_until
) OR EXISTS (
    SELECT FROM in_force AS f JOIN billing.terms AS t ON t.currency = f.currency AND t.version_id = f.version_id
    WHERE f.currency = d.currency AND f.start_date = d.start_date AND t.retired_at IS NULL
        AND coalesce(t.customer_id = d.customer_id, t.plan = d.plan, true)
        AND (t.until_on IS NULL OR t.until_on >= d.start_date)
        AND t.loaded_at > d.terms_known_until
)
UNION ALL
SELECT d.invoice_id, 'customer_change'
FROM drafts AS d
JOIN billing.customers AS c USING (customer_id)
WHERE (c.currency, c.timezone) <> (d.currency, d.timezone)
    -- where later months hang on the period, it is not laid out anew: what is drafted stays right
    AND NOT EXISTS (
        SELECT FROM billing.billing_periods AS q WHERE q.customer_id = d.customer_id AND q.period_start >= d.period_end
    );
$$;
COMMENT ON FUNCTION billing.outdated_drafts IS 'One row a draft of the month and reason why it would be another one today: late_event, corrected_event, price_change, term_change or customer_change has come since it was drafted';

CREATE OR REPLACE FUNCTION billing.waiting_drafts(month date, through text)
RETURNS TABLE (invoice_id uuid, customer_id text, reason text, until timestamptz)
LANGUAGE sql STABLE AS $$
WITH outdated AS MATERIALIZED (
    SELECT DISTINCT o.invoice_id
    FROM billing.outdated_drafts(month) AS o
    WHERE NOT EXISTS (
        SELECT FROM billing.finalisation_policy AS y
        JOIN billing.month_approvals AS a ON a.billing_month = month AND a.month_rows = billing.month_rows(month)
        WHERE y.charge_as_approved
    )
)
SELECT i.invoice_id, i.customer_id,
    CASE
        WHEN p.period_end > clock_timestamp() THEN 'not_ended'
        WHEN o.invoice_id IS NOT NULL THEN 'outdated'
        ELSE 'in_review'
    END,
    greatest(p.period_end, coalesce(d.drafted_at, clock_timestamp()) + make_interval(hours => y.review_hours))
FROM billing.invoices AS i
JOIN billing.billing_periods AS p USING (period_id)
LEFT JOIN outdated AS o ON o.invoice_id = i.invoice_id
LEFT JOIN billing.draft_times AS d ON d.invoice_id = i.invoice_id
CROSS JOIN billing.finalisation_policy AS y
WHERE i.billing_month = month AND i.status = 'draft' AND (
    p.period_end > clock_timestamp()
    OR o.invoice_id IS NOT NULL
    OR (through <> 'person' AND billing.is_in_review(i.invoice_id, y.review_hours))
);
$$;
COMMENT ON FUNCTION billing.waiting_drafts IS 'One row a draft of the month that a run which was started so does not make final now: not_ended, outdated (drafted again by the next run), or in_review until an instant';

CREATE OR REPLACE FUNCTION billing.check_invoice_numbering() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT n.last_number FROM billing.invoice_numbering AS n)
        <> (SELECT coalesce(max(i.invoice_number), 0) FROM billing.invoices AS i)
    THEN
        RAISE EXCEPTION 'the last invoice number is that of the last invoice' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_numbering IS 'Trigger at commit: numbers are given out to invoices, and to nothing else';
