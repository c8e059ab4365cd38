-- The derived tables of a month, up to the line of no return. Their rows are never updated: a month is rebuilt by
-- deleting and inserting, and rows that belong to a finalised invoice refuse both.

CREATE TABLE billing.asset_months (
    asset text NOT NULL,
    billing_month billing.month_start NOT NULL,
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    guard bigint NOT NULL DEFAULT 0,
    built_from bigint,
    as_of timestamptz,
    carried_forward_from timestamptz,
    run_id text,
    PRIMARY KEY (asset, billing_month)
);
COMMENT ON TABLE billing.asset_months IS 'One row an asset and month: the version of its rows. Also the lock between those who change the rows and those who rely on them';
COMMENT ON COLUMN billing.asset_months.asset IS 'Asset key, which is the table''s name';
COMMENT ON COLUMN billing.asset_months.billing_month IS 'Partition';
COMMENT ON COLUMN billing.asset_months.version IS 'Raised by triggers with every change to the month''s rows, whoever makes it; gates hold for one version';
COMMENT ON COLUMN billing.asset_months.guard IS 'Raised by whoever relies on the rows staying as they are, so that a concurrent writer with an older snapshot fails instead of slipping through';
COMMENT ON COLUMN billing.asset_months.built_from IS 'Version of the upstream asset that the rows were built from';
COMMENT ON COLUMN billing.asset_months.as_of IS 'Cut-off of usage_snapshots: events received until then were counted';
COMMENT ON COLUMN billing.asset_months.carried_forward_from IS 'The feed''s reach when an operator released the month with carry-forward; null when not';
COMMENT ON COLUMN billing.asset_months.run_id IS 'Run that last materialised the month';

-- A version that came back would bring back what gates said about other rows.
CREATE TRIGGER asset_months_change BEFORE UPDATE ON billing.asset_months
FOR EACH ROW WHEN (
    (new.asset, new.billing_month) IS DISTINCT FROM (old.asset, old.billing_month)
    OR new.version < old.version OR new.guard < old.guard
) EXECUTE FUNCTION billing.refuse_change('versions of a month only rise');
CREATE TRIGGER asset_months_keep BEFORE DELETE OR TRUNCATE ON billing.asset_months
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('versions of a month only rise');

CREATE FUNCTION billing.lock_month(locked_asset text, month date) RETURNS void
LANGUAGE sql AS $$
INSERT INTO billing.asset_months (asset, billing_month, guard) VALUES (locked_asset, month, 1)
ON CONFLICT (asset, billing_month) DO UPDATE SET guard = asset_months.guard + 1;
$$;
COMMENT ON FUNCTION billing.lock_month IS 'Holds off every change to the month''s rows of the asset until the end of this transaction';

CREATE TABLE billing.billing_periods (
    period_id uuid PRIMARY KEY GENERATED ALWAYS AS (
        md5(customer_id::text || chr(31) || extract(EPOCH FROM period_start AT TIME ZONE 'UTC')::text)::uuid
    ) STORED,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    timezone text NOT NULL,
    previous_end timestamptz CHECK (previous_end = period_start),
    CHECK (period_start < period_end AND isfinite(period_start) AND isfinite(period_end)),
    UNIQUE (customer_id, period_start),
    UNIQUE (customer_id, period_end),
    UNIQUE (period_id, customer_id, billing_month, currency),
    FOREIGN KEY (customer_id, previous_end) REFERENCES billing.billing_periods (customer_id, period_end)
    DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX billing_periods_one_first ON billing.billing_periods (customer_id) WHERE previous_end IS NULL;
CREATE INDEX billing_periods_month ON billing.billing_periods (billing_month);
COMMENT ON TABLE billing.billing_periods IS 'One row a customer and period. Every period but the first starts where exactly one other ends: no overlap and no gap can be written';
COMMENT ON COLUMN billing.billing_periods.period_id IS 'Derived from customer and start';
COMMENT ON COLUMN billing.billing_periods.customer_id IS 'Whose period';
COMMENT ON COLUMN billing.billing_periods.billing_month IS 'Month of the period''s last instant in its time zone: the partition that bills it';
COMMENT ON COLUMN billing.billing_periods.currency IS 'Currency of the customer when the period was laid out; lines and invoice share it by foreign key';
COMMENT ON COLUMN billing.billing_periods.period_start IS 'First instant';
COMMENT ON COLUMN billing.billing_periods.period_end IS 'First instant after it';
COMMENT ON COLUMN billing.billing_periods.start_date IS 'First day in the customer''s time zone; decides the price version';
COMMENT ON COLUMN billing.billing_periods.end_date IS 'First day after it';
COMMENT ON COLUMN billing.billing_periods.timezone IS 'Zone that the days were counted in';
COMMENT ON COLUMN billing.billing_periods.previous_end IS 'End of the period before: equal to period_start, null for the customer''s first';

CREATE TABLE billing.usage_snapshots (
    period_id uuid NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    event_count bigint NOT NULL CHECK (event_count >= 0),
    as_of timestamptz NOT NULL,
    basis text NOT NULL CHECK (basis IN ('measured', 'carried_forward', 'corrected')),
    run_id text NOT NULL,
    PRIMARY KEY (period_id, meter, dimensions),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX usage_snapshots_month ON billing.usage_snapshots (billing_month);
COMMENT ON TABLE billing.usage_snapshots IS 'One row a period, meter and dimensions: the quantity that is billed';
COMMENT ON COLUMN billing.usage_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.usage_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.usage_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.usage_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.usage_snapshots.billing_month IS 'Partition';
COMMENT ON COLUMN billing.usage_snapshots.currency IS 'Currency of the period';
COMMENT ON COLUMN billing.usage_snapshots.quantity IS 'Events of the period under the meter''s aggregation, in its unit; at most 12 places';
COMMENT ON COLUMN billing.usage_snapshots.event_count IS 'Events of the period that it was made of; 0 where a level only holds on';
COMMENT ON COLUMN billing.usage_snapshots.as_of IS 'Cut-off: events received until then were counted';
COMMENT ON COLUMN billing.usage_snapshots.basis IS 'measured; carried_forward: the feed was incomplete and an operator released last period''s quantity; corrected: a correcting event is in it';
COMMENT ON COLUMN billing.usage_snapshots.run_id IS 'Run that wrote the row';

CREATE TABLE billing.usage_quarantine (
    billing_month billing.month_start NOT NULL,
    stage text NOT NULL CHECK (stage IN ('usage_snapshots', 'invoice_line_items')),
    customer_id billing.platform_key NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    period_id uuid,
    reason text NOT NULL CHECK (reason <> ''),
    quantity numeric NOT NULL,
    event_count bigint NOT NULL CHECK (event_count >= 0),
    run_id text NOT NULL
);
CREATE UNIQUE INDEX usage_quarantine_grain ON billing.usage_quarantine
(billing_month, stage, customer_id, meter, dimensions, period_id) NULLS NOT DISTINCT;
COMMENT ON TABLE billing.usage_quarantine IS 'One row a month, customer, meter and dimensions whose usage cannot be billed, with the reason';
COMMENT ON COLUMN billing.usage_quarantine.billing_month IS 'Partition; the UTC month of the events where there is no period';
COMMENT ON COLUMN billing.usage_quarantine.stage IS 'Asset that set it aside';
COMMENT ON COLUMN billing.usage_quarantine.customer_id IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.meter IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.dimensions IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.period_id IS 'The period, where the customer has one';
COMMENT ON COLUMN billing.usage_quarantine.reason IS 'Why it cannot be billed';
COMMENT ON COLUMN billing.usage_quarantine.quantity IS 'Sum of the events'' quantities, or the unpriced snapshot''s quantity';
COMMENT ON COLUMN billing.usage_quarantine.event_count IS 'Events set aside';
COMMENT ON COLUMN billing.usage_quarantine.run_id IS 'Run that wrote the row';

CREATE TABLE billing.invoice_line_items (
    invoice_id uuid NOT NULL,
    line_no integer NOT NULL CHECK (line_no > 0),
    period_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('usage', 'minimum')),
    description text NOT NULL,
    usage_quantity billing.exact_decimal NOT NULL,
    included_quantity billing.exact_decimal NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    unit_amount billing.exact_decimal NOT NULL,
    exact_amount numeric NOT NULL,
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL,
    price_id uuid NOT NULL REFERENCES billing.prices (price_id),
    price_version text NOT NULL,
    basis text NOT NULL CHECK (basis IN ('measured', 'carried_forward', 'corrected')),
    run_id text NOT NULL,
    PRIMARY KEY (invoice_id, line_no),
    CHECK (exact_amount = quantity * unit_amount),
    CHECK (amount_minor = billing.to_minor(exact_amount, currency)),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX invoice_line_items_month ON billing.invoice_line_items (billing_month);
COMMENT ON TABLE billing.invoice_line_items IS 'One row a line of an invoice';
COMMENT ON COLUMN billing.invoice_line_items.invoice_id IS 'The invoice, which may not be drafted yet';
COMMENT ON COLUMN billing.invoice_line_items.line_no IS 'Place on the invoice, from 1';
COMMENT ON COLUMN billing.invoice_line_items.period_id IS 'The period';
COMMENT ON COLUMN billing.invoice_line_items.customer_id IS 'Who pays';
COMMENT ON COLUMN billing.invoice_line_items.billing_month IS 'Partition';
COMMENT ON COLUMN billing.invoice_line_items.meter IS 'What was used';
COMMENT ON COLUMN billing.invoice_line_items.dimensions IS 'With which dimension values';
COMMENT ON COLUMN billing.invoice_line_items.kind IS 'usage, or minimum: the difference to the price''s minimum';
COMMENT ON COLUMN billing.invoice_line_items.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.invoice_line_items.usage_quantity IS 'Part of the snapshot''s quantity that this line covers';
COMMENT ON COLUMN billing.invoice_line_items.included_quantity IS 'Part of usage_quantity that the allowance covers';
COMMENT ON COLUMN billing.invoice_line_items.quantity IS 'Units, or packages, that are billed';
COMMENT ON COLUMN billing.invoice_line_items.unit_amount IS 'Rate in major units';
COMMENT ON COLUMN billing.invoice_line_items.exact_amount IS 'quantity times unit_amount, unrounded, in major units';
COMMENT ON COLUMN billing.invoice_line_items.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.invoice_line_items.amount_minor IS 'exact_amount rounded once to minor units; the integer that Stripe gets';
COMMENT ON COLUMN billing.invoice_line_items.price_id IS 'The price row that priced it';
COMMENT ON COLUMN billing.invoice_line_items.price_version IS 'Version of the price book in force at the period''s start';
COMMENT ON COLUMN billing.invoice_line_items.basis IS 'Basis of the snapshot';
COMMENT ON COLUMN billing.invoice_line_items.run_id IS 'Run that wrote the row';

CREATE TABLE billing.invoices (
    invoice_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    billing_month billing.month_start NOT NULL,
    revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
    currency billing.currency_code NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    line_count integer NOT NULL CHECK (line_count >= 0),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    invoice_number bigint UNIQUE CHECK (invoice_number > 0),
    previous_number bigint GENERATED ALWAYS AS (nullif(invoice_number - 1, 0)) STORED
    REFERENCES billing.invoices (invoice_number),
    -- lpad alone cuts longer numbers off, and two invoices would share one
    number text UNIQUE GENERATED ALWAYS AS (
        'INV-' || lpad(invoice_number::text, greatest(8, length(invoice_number::text)), '0')
    ) STORED,
    finalised_at timestamptz,
    run_id text NOT NULL,
    CHECK ((status = 'draft') = (invoice_number IS NULL)),
    CHECK ((status = 'draft') = (finalised_at IS NULL)),
    UNIQUE (period_id, revision),
    UNIQUE (invoice_id, customer_id, billing_month, total_minor, currency),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE UNIQUE INDEX invoices_one_live ON billing.invoices (period_id) WHERE status <> 'void';
CREATE INDEX invoices_month ON billing.invoices (billing_month);
CREATE INDEX invoices_customer ON billing.invoices (customer_id);
COMMENT ON TABLE billing.invoices IS 'One row an invoice. A draft is rebuilt with its month; from finalisation on only its status moves';
COMMENT ON COLUMN billing.invoices.invoice_id IS 'Derived from customer, period and revision';
COMMENT ON COLUMN billing.invoices.customer_id IS 'Who pays';
COMMENT ON COLUMN billing.invoices.period_id IS 'The period that it bills; one live invoice a period';
COMMENT ON COLUMN billing.invoices.billing_month IS 'Partition';
COMMENT ON COLUMN billing.invoices.revision IS '0, or one more than the voided invoice that it replaces';
COMMENT ON COLUMN billing.invoices.currency IS 'Currency of the total';
COMMENT ON COLUMN billing.invoices.total_minor IS 'Sum of the lines, in minor units';
COMMENT ON COLUMN billing.invoices.line_count IS 'Number of lines';
COMMENT ON COLUMN billing.invoices.status IS 'draft, open (finalised), paid, void or uncollectible';
COMMENT ON COLUMN billing.invoices.invoice_number IS 'Assigned at finalisation; without gaps, because each number needs the one before';
COMMENT ON COLUMN billing.invoices.previous_number IS 'The number before, which must exist';
COMMENT ON COLUMN billing.invoices.number IS 'The number as printed';
COMMENT ON COLUMN billing.invoices.finalised_at IS 'When it became final';
COMMENT ON COLUMN billing.invoices.run_id IS 'Run that drafted it';

CREATE FUNCTION billing.bump_months_of_snapshots() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT tg_table_name, billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (
        SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (period_id)
        WHERE i.status <> 'draft'
    ) THEN
        RAISE EXCEPTION 'usage of a period with a finalised invoice is not changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.bump_months_of_snapshots IS 'Trigger: new version of the month; refuses rows behind a finalised invoice. The version row is locked first, so finalising and changing cannot both get through';
CREATE TRIGGER usage_snapshots_inserted AFTER INSERT ON billing.usage_snapshots
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_snapshots();
CREATE TRIGGER usage_snapshots_deleted AFTER DELETE ON billing.usage_snapshots
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_snapshots();
CREATE TRIGGER usage_snapshots_no_update BEFORE UPDATE OR TRUNCATE ON billing.usage_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');

CREATE FUNCTION billing.bump_months_of_lines() RETURNS trigger
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
CREATE TRIGGER invoice_line_items_inserted AFTER INSERT ON billing.invoice_line_items
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_lines();
CREATE TRIGGER invoice_line_items_deleted AFTER DELETE ON billing.invoice_line_items
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_lines();
CREATE TRIGGER invoice_line_items_no_update BEFORE UPDATE OR TRUNCATE ON billing.invoice_line_items
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');

CREATE FUNCTION billing.check_new_invoices() RETURNS trigger
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
            SELECT FROM billing.invoices AS i
            WHERE i.period_id = c.period_id AND i.revision = c.revision - 1 AND i.status = 'void'
        )
    ) THEN
        RAISE EXCEPTION 'a revision replaces the voided one before it' USING ERRCODE = 'restrict_violation';
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
COMMENT ON FUNCTION billing.check_new_invoices IS 'Trigger: new version of the month; an invoice enters as a draft whose total and count are those of its lines, and a revision after the voided one';
CREATE TRIGGER invoices_inserted AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_new_invoices();
CREATE TRIGGER invoices_deleted AFTER DELETE ON billing.invoices
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_new_invoices();
CREATE TRIGGER invoices_no_truncate BEFORE TRUNCATE ON billing.invoices
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('invoices are kept');

CREATE FUNCTION billing.check_invoice_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' THEN
        IF old.status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is finalised and stays', old.number USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN old;
    END IF;
    IF (new.invoice_id, new.customer_id, new.period_id, new.billing_month, new.revision, new.currency, new.total_minor,
        new.line_count, new.run_id)
        IS DISTINCT FROM
        (old.invoice_id, old.customer_id, old.period_id, old.billing_month, old.revision, old.currency, old.total_minor,
        old.line_count, old.run_id)
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
COMMENT ON FUNCTION billing.check_invoice_change IS 'Trigger: a finalised invoice keeps its content and number; statuses only move forward';
CREATE TRIGGER invoices_change BEFORE UPDATE OR DELETE ON billing.invoices
FOR EACH ROW EXECUTE FUNCTION billing.check_invoice_change();

CREATE FUNCTION billing.check_period_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - '{previous_end,period_id}'::text []) IS DISTINCT FROM (to_jsonb(old) - '{previous_end,period_id}'::text []) THEN
        RAISE EXCEPTION 'period % is laid out anew by delete and insert', old.period_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_period_change IS 'Trigger: of a period only the link to the one before changes; what refers to it keeps it from being deleted';
CREATE TRIGGER billing_periods_change BEFORE UPDATE ON billing.billing_periods
FOR EACH ROW EXECUTE FUNCTION billing.check_period_change();
CREATE TRIGGER billing_periods_no_truncate BEFORE TRUNCATE ON billing.billing_periods
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('periods are kept');
