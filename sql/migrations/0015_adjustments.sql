-- Adjustments: one-off amounts that land on the customer's next draft, or on a supplementary invoice. They stand beside the
-- metered lines, which stay a pure function of usage and prices.

ALTER TABLE billing.invoices
ADD CONSTRAINT invoices_of_adjustments UNIQUE (invoice_id, customer_id, period_id, billing_month, currency);

CREATE TABLE billing.adjustments (
    adjustment_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    description text NOT NULL CHECK (description ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    author text NOT NULL CHECK (author ~ '\S'),
    corrects_period_id uuid REFERENCES billing.billing_periods (period_id),
    on_supplement boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    guard bigint NOT NULL DEFAULT 0,
    UNIQUE (adjustment_id, customer_id, currency),
    CONSTRAINT supplements_charge_a_period CHECK (NOT on_supplement OR (corrects_period_id IS NOT NULL AND amount_minor > 0))
);
CREATE INDEX adjustments_customer ON billing.adjustments (customer_id);
CREATE INDEX adjustments_period ON billing.adjustments (corrects_period_id);
COMMENT ON TABLE billing.adjustments IS 'One row a one-off amount for a customer; frozen. It is taken back by another one';
COMMENT ON COLUMN billing.adjustments.adjustment_id IS 'Derived from what it adjusts and why';
COMMENT ON COLUMN billing.adjustments.customer_id IS 'Whose invoice';
COMMENT ON COLUMN billing.adjustments.currency IS 'Currency of the amount; it lands on an invoice in the same';
COMMENT ON COLUMN billing.adjustments.amount_minor IS 'In minor units; below zero it is a credit';
COMMENT ON COLUMN billing.adjustments.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.adjustments.reason IS 'Why, for the audit log';
COMMENT ON COLUMN billing.adjustments.author IS 'Who made it';
COMMENT ON COLUMN billing.adjustments.corrects_period_id IS 'The billed period that it corrects, if it corrects one';
COMMENT ON COLUMN billing.adjustments.on_supplement IS 'Whether a supplementary invoice of that period carries it, and not the customer''s next invoice';
COMMENT ON COLUMN billing.adjustments.created_at IS 'When';
COMMENT ON COLUMN billing.adjustments.guard IS 'Raised by whoever puts it on an invoice, so that of two at once the second sees the first';

CREATE FUNCTION billing.check_adjustment_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - 'guard') IS DISTINCT FROM (to_jsonb(old) - 'guard') OR new.guard < old.guard THEN
        RAISE EXCEPTION 'adjustment % is frozen; another one takes it back', old.adjustment_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_adjustment_change IS 'Trigger: of an adjustment only its guard moves';
CREATE TRIGGER adjustments_change BEFORE UPDATE ON billing.adjustments
FOR EACH ROW EXECUTE FUNCTION billing.check_adjustment_change();
CREATE TRIGGER adjustments_keep BEFORE DELETE OR TRUNCATE ON billing.adjustments
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('an adjustment is frozen; another one takes it back');

CREATE TABLE billing.invoice_adjustments (
    invoice_id uuid NOT NULL,
    line_no integer NOT NULL CHECK (line_no > 0),
    adjustment_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    description text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (invoice_id, line_no),
    UNIQUE (invoice_id, adjustment_id),
    FOREIGN KEY (adjustment_id, customer_id, currency) REFERENCES billing.adjustments (adjustment_id, customer_id, currency),
    -- a draft that is dropped lets its adjustments go: the next draft takes them up again
    FOREIGN KEY (invoice_id, customer_id, period_id, billing_month, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, period_id, billing_month, currency)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX invoice_adjustments_month ON billing.invoice_adjustments (billing_month);
CREATE INDEX invoice_adjustments_adjustment ON billing.invoice_adjustments (adjustment_id);
COMMENT ON TABLE billing.invoice_adjustments IS 'One row an adjustment, or a part of a credit, on an invoice: a line of it beside the metered ones';
COMMENT ON COLUMN billing.invoice_adjustments.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_adjustments.line_no IS 'Place on it; goes on after the metered lines';
COMMENT ON COLUMN billing.invoice_adjustments.adjustment_id IS 'The adjustment';
COMMENT ON COLUMN billing.invoice_adjustments.customer_id IS 'Whose: the invoice''s and the adjustment''s, by foreign keys';
COMMENT ON COLUMN billing.invoice_adjustments.period_id IS 'Period of the invoice, by foreign key';
COMMENT ON COLUMN billing.invoice_adjustments.billing_month IS 'Partition of the invoice, by foreign key';
COMMENT ON COLUMN billing.invoice_adjustments.currency IS 'Currency of both, by foreign keys';
COMMENT ON COLUMN billing.invoice_adjustments.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.invoice_adjustments.amount_minor IS 'The whole adjustment, or the part of a credit that the invoice could take: its total is never below zero';

CREATE FUNCTION billing.check_invoice_adjustments() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    over record;
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT 'invoices', billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (invoice_id)) THEN
        RAISE EXCEPTION 'lines of an existing invoice are not changed; a draft is dropped first'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF tg_op = 'DELETE' THEN
        RETURN NULL;
    END IF;
    UPDATE billing.adjustments SET guard = guard + 1 WHERE adjustment_id IN (SELECT c.adjustment_id FROM changed_rows AS c);
    SELECT a.adjustment_id, a.amount_minor, sum(u.amount_minor) AS used INTO over
    FROM billing.adjustments AS a
    JOIN billing.invoice_adjustments AS u USING (adjustment_id)
    LEFT JOIN billing.invoices AS i ON i.invoice_id = u.invoice_id
    WHERE a.adjustment_id IN (SELECT c.adjustment_id FROM changed_rows AS c) AND i.status IS DISTINCT FROM 'void'
    GROUP BY a.adjustment_id
    HAVING abs(sum(u.amount_minor)) > abs(a.amount_minor)
        OR bool_or(sign(u.amount_minor) <> sign(a.amount_minor))
        OR (a.amount_minor > 0 AND sum(u.amount_minor) <> a.amount_minor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % over % is on invoices with %', over.adjustment_id, over.amount_minor, over.used
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_adjustments IS 'Trigger: an adjustment is on one live invoice, a credit on as many as it takes, never with more than its amount; and it joins no invoice that exists';
CREATE TRIGGER invoice_adjustments_inserted AFTER INSERT ON billing.invoice_adjustments
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_invoice_adjustments();
CREATE TRIGGER invoice_adjustments_deleted AFTER DELETE ON billing.invoice_adjustments
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_invoice_adjustments();
CREATE TRIGGER invoice_adjustments_no_update BEFORE UPDATE OR TRUNCATE ON billing.invoice_adjustments
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');

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
COMMENT ON COLUMN billing.invoices.total_minor IS 'Sum of the lines and adjustments, in minor units; never below zero';
COMMENT ON COLUMN billing.invoices.line_count IS 'Number of lines and adjustments';

CREATE OR REPLACE FUNCTION billing.contents_of(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, invoice_sha256 bytea, lines_sha256 bytea, prices_sha256 bytea, snapshots_sha256 bytea,
    events_sha256 bytea, intent_sha256 bytea
)
LANGUAGE sql STABLE SET timezone TO 'UTC' AS $$
WITH line_texts AS (
    SELECT l.invoice_id, string_agg(jsonb_build_array(
        l.line_no, l.period_id, l.customer_id, l.billing_month, l.meter, l.dimensions, l.kind, l.description,
        l.usage_quantity, l.included_quantity, l.quantity, l.unit_amount, l.exact_amount, l.currency, l.amount_minor,
        l.price_id, l.price_version, l.basis, l.snapshot_version, l.code_version, l.run_id
    )::text, chr(10) ORDER BY l.line_no) AS content
    FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids) GROUP BY l.invoice_id
),
adjustment_texts AS (
    SELECT a.invoice_id, string_agg(jsonb_build_array(
        a.line_no, a.adjustment_id, a.customer_id, a.period_id, a.billing_month, a.currency, a.description, a.amount_minor
    )::text, chr(10) ORDER BY a.line_no) AS content
    FROM billing.invoice_adjustments AS a WHERE a.invoice_id = ANY(ids) GROUP BY a.invoice_id
),
price_texts AS (
    SELECT u.invoice_id, string_agg(jsonb_build_array(
        p.price_id, p.book, p.currency, p.version_id, p.effective_from, p.customer_id, p.meter, p.dimensions, p.model,
        p.tier_no, p.tier_from, p.tier_up_to, p.unit_amount, p.package_size, p.included, p.minimum, p.description,
        p.position
    )::text, chr(10) ORDER BY p.price_id) AS content
    FROM (
        SELECT DISTINCT l.invoice_id, l.price_id FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids)
    ) AS u JOIN billing.prices AS p USING (price_id)
    GROUP BY u.invoice_id
),
snapshot_texts AS (
    SELECT s.invoice_id, string_agg(jsonb_build_array(
        s.meter, s.dimensions, s.snapshot_version, s.customer_id, s.quantity, s.event_count, s.as_of, s.basis,
        s.aggregation, s.run_id
    )::text, chr(10) ORDER BY s.meter COLLATE "C", s.dimensions) AS content
    FROM billing.billed_snapshots(ids) AS s GROUP BY s.invoice_id
),
event_texts AS (
    SELECT e.invoice_id, string_agg(jsonb_build_array(
        e.meter, e.dimensions, e.event_id, e.quantity, e.occurred_at, e.received_at, e.corrects_event_id, e.corrected_by
    )::text, chr(10) ORDER BY e.meter COLLATE "C", e.dimensions, e.event_id COLLATE "C") AS content
    FROM billing.billed_events(ids) AS e GROUP BY e.invoice_id
)
SELECT i.invoice_id,
    sha256(convert_to(jsonb_build_array(
        i.customer_id, i.period_id, i.billing_month, i.revision, i.currency, i.total_minor, i.line_count,
        i.invoice_number, i.finalised_at, i.run_id, p.period_start, p.period_end, p.start_date, p.end_date, p.timezone
    )::text, 'UTF8')),
    sha256(convert_to(concat(line_texts.content, adjustment_texts.content), 'UTF8')),
    sha256(convert_to(coalesce(price_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(snapshot_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(event_texts.content, ''), 'UTF8')),
    sha256(convert_to(jsonb_build_array(
        c.billing_month, c.customer_id, c.amount_minor, c.currency, c.created_at, c.run_id
    )::text, 'UTF8') || c.request_body)
FROM billing.invoices AS i
JOIN billing.billing_periods AS p USING (period_id)
JOIN billing.stripe_charges AS c ON c.invoice_id = i.invoice_id
LEFT JOIN line_texts ON line_texts.invoice_id = i.invoice_id
LEFT JOIN adjustment_texts ON adjustment_texts.invoice_id = i.invoice_id
LEFT JOIN price_texts ON price_texts.invoice_id = i.invoice_id
LEFT JOIN snapshot_texts ON snapshot_texts.invoice_id = i.invoice_id
LEFT JOIN event_texts ON event_texts.invoice_id = i.invoice_id
WHERE i.invoice_id = ANY(ids);
$$;
COMMENT ON FUNCTION billing.contents_of IS 'Digests of all that finalised invoices were made of, as it is stored now; the lines'' with the adjustments. Columns are listed, so that a column added later leaves them as they are';
COMMENT ON COLUMN billing.invoice_seals.lines_sha256 IS 'Of its lines and adjustments';
