-- Void and rebill, and supplementary invoices. A void invoice keeps its lines and no longer holds its period: the period
-- may be measured and billed again as the next revision, which names what it supersedes. Beside a period's own invoice
-- there may be supplementary ones, which carry adjustments only.

ALTER TABLE billing.invoices
ADD COLUMN supplement_no integer NOT NULL DEFAULT 0 CHECK (supplement_no >= 0),
ADD COLUMN supersedes_invoice_id uuid,
ADD COLUMN superseded_revision integer GENERATED ALWAYS AS (nullif(revision, 0) - 1) STORED,
ADD CONSTRAINT invoices_revision_of UNIQUE (invoice_id, period_id, supplement_no, revision),
ADD CONSTRAINT invoices_supersede_the_revision_before
FOREIGN KEY (supersedes_invoice_id, period_id, supplement_no, superseded_revision)
REFERENCES billing.invoices (invoice_id, period_id, supplement_no, revision),
ADD CONSTRAINT invoices_name_what_they_supersede CHECK ((revision = 0) = (supersedes_invoice_id IS NULL)),
DROP CONSTRAINT invoices_period_id_revision_key,
ADD CONSTRAINT invoices_period_id_revision_key UNIQUE (period_id, supplement_no, revision);
DROP INDEX billing.invoices_one_live;
CREATE UNIQUE INDEX invoices_one_live ON billing.invoices (period_id, supplement_no) WHERE status <> 'void';
COMMENT ON COLUMN billing.invoices.period_id IS 'The period that it bills; one live invoice a period, and one of each of its supplements';
COMMENT ON COLUMN billing.invoices.supplement_no IS '0: the period''s own invoice; n: its n-th supplementary one, which carries adjustments only';
COMMENT ON COLUMN billing.invoices.supersedes_invoice_id IS 'The voided invoice that a revision above 0 replaces';
COMMENT ON COLUMN billing.invoices.superseded_revision IS 'Revision of the invoice that it replaces: one less';

CREATE OR REPLACE FUNCTION billing.bump_months_of_snapshots() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT tg_table_name, billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (
        SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (period_id)
        WHERE i.status NOT IN ('draft', 'void')
    ) THEN
        RAISE EXCEPTION 'usage of a period with a finalised invoice is not changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;

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
    PERFORM billing.lock_month('invoice_line_items', billing_month)
    FROM (SELECT DISTINCT billing_month FROM changed_rows ORDER BY billing_month) AS months;
    -- one probe an invoice: with a join, LIMIT would make the planner hope for an early hit and search the lines for each
    SELECT c.invoice_id, c.total_minor, l.total INTO wrong
    FROM changed_rows AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(li.amount_minor), 0) AS total, count(*) AS line_count,
            coalesce(bool_and(li.period_id = c.period_id), true) AS same_period
        FROM billing.invoice_line_items AS li
        WHERE li.invoice_id = c.invoice_id
    ) AS l
    WHERE (c.total_minor, c.line_count) IS DISTINCT FROM (l.total, l.line_count) OR NOT l.same_period
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice %: total % is not the sum of its lines %', wrong.invoice_id, wrong.total_minor, wrong.total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_new_invoices IS 'Trigger: new version of the month; an invoice enters as a draft whose total and count are those of its lines, a revision after the voided one, a supplement after the final one';

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
            AND (new.invoice_number, new.finalised_at) IS DISTINCT FROM (old.invoice_number, old.finalised_at))
    THEN
        RAISE EXCEPTION 'invoice %: only the status moves', old.invoice_id USING ERRCODE = 'restrict_violation';
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

CREATE OR REPLACE FUNCTION billing.invoice_coverage(month date)
RETURNS TABLE (customer_id text, invoice_id uuid, reason text)
LANGUAGE sql STABLE AS $$
SELECT
    c.customer_id,
    i.invoice_id,
    CASE
        WHEN i.invoice_id IS NOT NULL OR l.customer_id IS NOT NULL THEN NULL
        WHEN c.status = 'inactive' THEN 'inactive'
        WHEN p.customer_id IS NULL AND c.cycle_anchor >= (month + interval '1 month')::date THEN 'before the first billed day'
        WHEN p.customer_id IS NULL AND clock_timestamp() < (month + interval '1 month') AT TIME ZONE c.timezone
            THEN 'the period has not ended'
        WHEN p.customer_id IS NULL AND c.billing_cycle <> 'calendar_month' THEN 'no period ends in the month'
        WHEN q.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'all usage is in quarantine'
        WHEN p.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'no usage'
        WHEN p.customer_id IS NOT NULL AND q.customer_id IS NOT NULL THEN 'all usage is in quarantine'
    END
FROM billing.customers AS c
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
    ON q.customer_id = c.customer_id;
$$;

CREATE TABLE billing.voided_snapshots (
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    period_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    snapshot_version integer NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    event_count bigint NOT NULL,
    as_of timestamptz NOT NULL,
    basis text NOT NULL,
    aggregation text,
    run_id text NOT NULL,
    PRIMARY KEY (invoice_id, meter, dimensions)
);
COMMENT ON TABLE billing.voided_snapshots IS 'One row a void invoice, meter and dimensions: the snapshot that it was billed from, kept because its period is measured anew';
COMMENT ON COLUMN billing.voided_snapshots.invoice_id IS 'The void invoice';
COMMENT ON COLUMN billing.voided_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.voided_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.voided_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.voided_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.voided_snapshots.snapshot_version IS 'As its lines name it';
COMMENT ON COLUMN billing.voided_snapshots.quantity IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.event_count IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.as_of IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.basis IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.aggregation IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.run_id IS 'As in usage_snapshots';
CREATE TRIGGER voided_snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.voided_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a void invoice stays explainable');

CREATE FUNCTION billing.keep_voided_snapshots() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.voided_snapshots (
        invoice_id, meter, dimensions, period_id, customer_id, snapshot_version, quantity, event_count, as_of, basis,
        aggregation, run_id
    )
    WITH billed AS (
        SELECT coalesce(max(l.snapshot_version), 1) AS snapshot_version
        FROM billing.invoice_line_items AS l WHERE l.invoice_id = new.invoice_id
    )
    SELECT new.invoice_id, s.meter, s.dimensions, s.period_id, s.customer_id, 1, s.quantity, s.event_count, s.as_of, s.basis,
        s.aggregation, s.run_id
    FROM billed JOIN billing.usage_snapshots AS s ON s.period_id = new.period_id
    WHERE billed.snapshot_version = 1
    UNION ALL
    SELECT new.invoice_id, r.meter, r.dimensions, r.period_id, r.customer_id, r.snapshot_version, r.quantity, r.event_count,
        r.as_of, r.basis, r.aggregation, r.run_id
    FROM billed JOIN billing.restated_snapshots AS r USING (snapshot_version)
    WHERE r.period_id = new.period_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.keep_voided_snapshots IS 'Trigger: what a void invoice was billed from is kept beside it before its period is measured anew';
CREATE TRIGGER invoices_voided AFTER UPDATE OF status ON billing.invoices
FOR EACH ROW WHEN (new.status = 'void' AND old.status <> 'void' AND new.supplement_no = 0)
EXECUTE FUNCTION billing.keep_voided_snapshots();

CREATE OR REPLACE FUNCTION billing.billed_snapshots(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, period_id uuid, customer_id text, meter text, dimensions jsonb, snapshot_version integer,
    quantity numeric, event_count bigint, as_of timestamptz, basis text, aggregation text, run_id text,
    period_start timestamptz, period_end timestamptz
)
LANGUAGE sql STABLE AS $$
WITH billed AS MATERIALIZED (
    SELECT i.invoice_id, i.period_id, i.status, p.period_start, p.period_end, coalesce((
        SELECT max(l.snapshot_version) FROM billing.invoice_line_items AS l WHERE l.invoice_id = i.invoice_id
    ), 1) AS snapshot_version
    FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)
    WHERE i.invoice_id = ANY(ids) AND i.supplement_no = 0
)
SELECT b.invoice_id, b.period_id, s.customer_id, s.meter, s.dimensions, 1, s.quantity, s.event_count, s.as_of, s.basis,
    s.aggregation, s.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.usage_snapshots AS s USING (period_id)
WHERE b.snapshot_version = 1 AND b.status <> 'void'
UNION ALL
SELECT b.invoice_id, b.period_id, r.customer_id, r.meter, r.dimensions, r.snapshot_version, r.quantity, r.event_count,
    r.as_of, r.basis, r.aggregation, r.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.restated_snapshots AS r USING (period_id, snapshot_version)
WHERE b.status <> 'void'
UNION ALL
SELECT b.invoice_id, b.period_id, v.customer_id, v.meter, v.dimensions, v.snapshot_version, v.quantity, v.event_count,
    v.as_of, v.basis, v.aggregation, v.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.voided_snapshots AS v USING (invoice_id)
WHERE b.status = 'void';
$$;
COMMENT ON FUNCTION billing.billed_snapshots IS 'One row a snapshot that the invoices were billed from, of the version that their lines name; those of void invoices were kept, and supplementary ones have none';
