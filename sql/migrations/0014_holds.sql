-- Holds and approvals: what keeps a draft from becoming final, or a final invoice from being charged, until people say so.

CREATE TABLE billing.holds (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_type text NOT NULL CHECK (subject_type IN ('customer', 'invoice', 'month')),
    subject text NOT NULL CHECK (subject <> ''),
    reason text NOT NULL CHECK (reason ~ '\S'),
    author text NOT NULL CHECK (author ~ '\S'),
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (
        subject_type = 'customer'
        OR (subject_type = 'invoice' AND subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
        OR (subject_type = 'month' AND subject ~ '^[0-9]{4}-[0-9]{2}-01$')
    ),
    CHECK ((released_at IS NULL) = (released_by IS NULL)),
    CHECK ((released_at IS NULL) = (release_reason IS NULL))
);
CREATE UNIQUE INDEX holds_one_active ON billing.holds (subject_type, subject) WHERE released_at IS NULL;
COMMENT ON TABLE billing.holds IS 'One row a hold on a customer, an invoice or a month: while it is active, nothing of it is finalised or charged';
COMMENT ON COLUMN billing.holds.hold_id IS 'Order of placing';
COMMENT ON COLUMN billing.holds.subject_type IS 'customer, invoice or month';
COMMENT ON COLUMN billing.holds.subject IS 'The customer_id, the invoice_id (a draft keeps its id when it is rebuilt), or the first day of the month';
COMMENT ON COLUMN billing.holds.reason IS 'Why it is held';
COMMENT ON COLUMN billing.holds.author IS 'Who placed it';
COMMENT ON COLUMN billing.holds.placed_at IS 'When';
COMMENT ON COLUMN billing.holds.released_at IS 'When it was released; null while it is active';
COMMENT ON COLUMN billing.holds.released_by IS 'Who released it';
COMMENT ON COLUMN billing.holds.release_reason IS 'Why';

CREATE FUNCTION billing.check_hold_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{released_at,released_by,release_reason}';
BEGIN
    IF (to_jsonb(new) - moving) IS DISTINCT FROM (to_jsonb(old) - moving) OR old.released_at IS NOT NULL THEN
        RAISE EXCEPTION 'hold % is only released, once; place another one', old.hold_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_hold_change IS 'Trigger: a hold is released and otherwise stays as it was placed';
CREATE TRIGGER holds_change BEFORE UPDATE ON billing.holds
FOR EACH ROW EXECUTE FUNCTION billing.check_hold_change();
CREATE TRIGGER holds_keep BEFORE DELETE OR TRUNCATE ON billing.holds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('holds are released, not deleted');

CREATE FUNCTION billing.is_held(customer text, invoice uuid, month date) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM billing.holds AS h
    WHERE h.released_at IS NULL
        AND (h.subject_type, h.subject) IN (('customer', customer), ('invoice', invoice::text), ('month', month::text))
);
$$;
COMMENT ON FUNCTION billing.is_held IS 'Whether an active hold keeps the invoice from being finalised or charged';

CREATE TABLE billing.finalisation_policy (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    require_approval boolean NOT NULL,
    changed_by text NOT NULL CHECK (changed_by ~ '\S'),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.finalisation_policy IS 'One row: whether a month is finalised only with an approval. BILLING_REQUIRE_APPROVAL sets it; it stays as set';
COMMENT ON COLUMN billing.finalisation_policy.only_row IS 'There is one row';
COMMENT ON COLUMN billing.finalisation_policy.require_approval IS 'Whether finalising needs an approval of exactly these rows, by somebody else than who started the run';
COMMENT ON COLUMN billing.finalisation_policy.changed_by IS 'Who or what set it';
COMMENT ON COLUMN billing.finalisation_policy.changed_at IS 'When';
INSERT INTO billing.finalisation_policy (require_approval, changed_by) VALUES (FALSE, 'as installed');
CREATE FUNCTION billing.log_finalisation_policy() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    new.changed_at = clock_timestamp();
    INSERT INTO billing.automation_log (actor, action, object_type, object_id, state_before, state_after)
    VALUES (
        new.changed_by, 'policy.change', 'policy', 'require_approval',
        jsonb_build_object('require_approval', old.require_approval), jsonb_build_object('require_approval', new.require_approval)
    );
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.log_finalisation_policy IS 'Trigger: who lifted or set the need of approvals is in the audit log, whoever did it';
CREATE TRIGGER finalisation_policy_change BEFORE UPDATE ON billing.finalisation_policy
FOR EACH ROW EXECUTE FUNCTION billing.log_finalisation_policy();
CREATE TRIGGER finalisation_policy_keep BEFORE DELETE OR TRUNCATE ON billing.finalisation_policy
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('without the row nobody would know whether approvals are needed');

CREATE FUNCTION billing.month_rows(month date) RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT string_agg(coalesce(m.version, 0)::text, '.' ORDER BY a.place)
    FROM (VALUES (1, 'usage_snapshots'), (2, 'invoice_line_items'), (3, 'invoices')) AS a (place, asset)
    LEFT JOIN billing.asset_months AS m ON m.asset = a.asset AND m.billing_month = month
);
COMMENT ON FUNCTION billing.month_rows IS 'The versions of the month''s snapshots, lines and invoices in one word, such as 4.6.5: what an approval is of';

CREATE TABLE billing.month_approvals (
    approval_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    month_rows text NOT NULL,
    author text NOT NULL CHECK (author ~ '\S'),
    drafts integer NOT NULL CHECK (drafts >= 0),
    totals jsonb NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX month_approvals_month ON billing.month_approvals (billing_month, month_rows);
COMMENT ON TABLE billing.month_approvals IS 'One row an approval of a month''s drafts: it holds for exactly the rows that were there; append-only';
COMMENT ON COLUMN billing.month_approvals.approval_id IS 'Order of writing';
COMMENT ON COLUMN billing.month_approvals.billing_month IS 'Partition';
COMMENT ON COLUMN billing.month_approvals.month_rows IS 'billing.month_rows() when it was approved: the present one, enforced';
COMMENT ON COLUMN billing.month_approvals.author IS 'Who approved';
COMMENT ON COLUMN billing.month_approvals.drafts IS 'Drafts that were there';
COMMENT ON COLUMN billing.month_approvals.totals IS 'Their totals in minor units, by currency';
COMMENT ON COLUMN billing.month_approvals.approved_at IS 'When';
CREATE FUNCTION billing.check_approval() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing.asset_months AS m
    WHERE m.billing_month = new.billing_month AND m.asset IN ('usage_snapshots', 'invoice_line_items', 'invoices')
    ORDER BY m.asset FOR SHARE;
    IF new.month_rows IS DISTINCT FROM billing.month_rows(new.billing_month) THEN
        RAISE EXCEPTION 'month % is at rows %, not %: look at it again', new.billing_month,
            billing.month_rows(new.billing_month), new.month_rows USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_approval IS 'Trigger: what is approved is what is there now';
CREATE TRIGGER month_approvals_of_seen_rows BEFORE INSERT ON billing.month_approvals
FOR EACH ROW EXECUTE FUNCTION billing.check_approval();
CREATE TRIGGER month_approvals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.month_approvals
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('approvals are append-only; hold the month instead');

ALTER TABLE billing.invoices ADD COLUMN finalised_by text CHECK (finalised_by ~ '\S');
COMMENT ON COLUMN billing.invoices.finalised_by IS 'Person who started the run that finalised it; null when a schedule did';

CREATE FUNCTION billing.missing_approval(month date, started_by text) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT
    CASE
        WHEN NOT p.require_approval THEN NULL
        WHEN EXISTS (
            SELECT FROM billing.month_approvals AS a
            WHERE a.billing_month = month AND a.month_rows = billing.month_rows(month)
                AND a.author IS DISTINCT FROM started_by
        ) THEN NULL
        WHEN EXISTS (
            SELECT FROM billing.month_approvals AS a
            WHERE a.billing_month = month AND a.month_rows = billing.month_rows(month)
        ) THEN format('%s started the run and approved it: it needs somebody else''s approval', started_by)
        WHEN EXISTS (SELECT FROM billing.month_approvals AS a WHERE a.billing_month = month)
            THEN format('its rows have changed since they were approved, they are at %s now', billing.month_rows(month))
        ELSE 'nobody has approved it'
    END
FROM billing.finalisation_policy AS p;
$$;
COMMENT ON FUNCTION billing.missing_approval IS 'Why the month may not be finalised by a run that this person started; null when it may';

CREATE OR REPLACE FUNCTION billing.check_finalisation() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    month date;
    unmet record;
    held text;
    missing text;
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
        FROM new_rows AS n JOIN old_rows AS o USING (invoice_id) JOIN billing.customers AS c ON c.customer_id = n.customer_id
        WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month
            AND (c.status = 'on_hold' OR billing.is_held(n.customer_id, n.invoice_id, n.billing_month))
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'customer % is on hold', held USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT billing.missing_approval(month, f.finalised_by) INTO missing
        FROM (
            SELECT DISTINCT n.finalised_by
            FROM new_rows AS n JOIN old_rows AS o USING (invoice_id)
            WHERE o.status = 'draft' AND n.status <> 'draft' AND n.billing_month = month
        ) AS f
        WHERE billing.missing_approval(month, f.finalised_by) IS NOT NULL
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'month % is not finalised: %', month, missing USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_finalisation IS 'Trigger: the line of no return. Locks the month''s rows, then refuses unless every gate passed for exactly these rows, nothing is on hold and, where that is needed, somebody else approved them';

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
            AND (new.invoice_number, new.finalised_at, new.finalised_by)
            IS DISTINCT FROM (old.invoice_number, old.finalised_at, old.finalised_by))
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
