-- What waits for people.

CREATE OR REPLACE FUNCTION billing.check_hold_change() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.is_held(customer text, invoice uuid, month date) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM billing.holds AS h
    WHERE h.released_at IS NULL
        AND (h.subject_type, h.subject) IN (('customer', customer), ('invoice', invoice::text), ('month', month::text))
);
$$;
COMMENT ON FUNCTION billing.is_held IS 'Whether an active hold keeps the invoice from being finalised or charged';

CREATE OR REPLACE FUNCTION billing.held_by_dunning() RETURNS TABLE (customer_id text)
LANGUAGE sql STABLE AS $$
SELECT d.customer_id
FROM billing.dunning_cases AS d JOIN billing.dunning_steps AS t ON t.invoice_id = d.invoice_id
WHERE d.closed_at IS NULL AND t.action = 'hold_drafts';
$$;
COMMENT ON FUNCTION billing.held_by_dunning IS 'Customers whose drafts a step of dunning keeps; what is final is charged all the same, and the payment that closes the case ends it';

CREATE OR REPLACE FUNCTION billing.is_held_by_dunning(customer text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (SELECT FROM billing.held_by_dunning() AS d WHERE d.customer_id = customer);
$$;
COMMENT ON FUNCTION billing.is_held_by_dunning IS 'Whether a step of dunning keeps the customer''s drafts';

CREATE OR REPLACE FUNCTION billing.draft_holds() RETURNS TABLE (subject_type text, subject text)
LANGUAGE sql STABLE AS $$
SELECT h.subject_type, h.subject FROM billing.holds AS h WHERE h.released_at IS NULL
UNION ALL
SELECT 'customer', c.customer_id FROM billing.customers AS c WHERE c.status = 'on_hold'
UNION ALL
SELECT 'customer', d.customer_id FROM billing.held_by_dunning() AS d
$$;
COMMENT ON FUNCTION billing.draft_holds IS 'The customers, invoices and months whose drafts stay drafts: by an active hold, by the customer''s status, or by dunning';

CREATE OR REPLACE FUNCTION billing.is_draft_held(customer text, invoice uuid, month date) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM billing.draft_holds() AS h
    WHERE (h.subject_type, h.subject) IN (('customer', customer), ('invoice', invoice::text), ('month', month::text))
)
$$;
COMMENT ON FUNCTION billing.is_draft_held IS 'Whether one draft stays one; of a whole month billing.held_invoices tells it at once';

CREATE OR REPLACE FUNCTION billing.held_invoices(month date) RETURNS TABLE (invoice_id uuid)
LANGUAGE sql STABLE AS $$
SELECT i.invoice_id
FROM billing.invoices AS i
WHERE i.billing_month = month AND (
    i.customer_id::text IN (SELECT h.subject FROM billing.draft_holds() AS h WHERE h.subject_type = 'customer')
    OR i.invoice_id::text IN (SELECT h.subject FROM billing.draft_holds() AS h WHERE h.subject_type = 'invoice')
    OR month::text IN (SELECT h.subject FROM billing.draft_holds() AS h WHERE h.subject_type = 'month')
)
$$;
COMMENT ON FUNCTION billing.held_invoices IS 'The invoices of a month that stay drafts while they are: is_draft_held for all of them in one pass';

CREATE OR REPLACE FUNCTION billing.log_finalisation_policy() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    new.changed_at = clock_timestamp();
    PERFORM billing.log_action(
        new.changed_by, 'policy.change', 'policy', 'finalisation',
        state_before => to_jsonb(old) - '{only_row,changed_by,changed_at}'::text [],
        state_after => to_jsonb(new) - '{only_row,changed_by,changed_at}'::text []
    );
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.log_finalisation_policy IS 'Trigger: who changed what finalising needs is in the audit log, whoever did it';

CREATE OR REPLACE FUNCTION billing.check_approval() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.missing_approval(month date, started_by text, through text) RETURNS text
LANGUAGE sql STABLE AS $$
WITH approvals AS (
    SELECT count(DISTINCT lower(a.author)) AS people,
        count(DISTINCT lower(a.author)) FILTER (WHERE lower(a.author) <> lower(started_by)) AS others
    FROM billing.month_approvals AS a
    WHERE a.billing_month = month AND a.month_rows = billing.month_rows(month)
)
SELECT
    CASE
        WHEN NOT p.require_approval THEN NULL
        WHEN through = 'person' AND a.others > 0 THEN NULL
        WHEN through = 'schedule' AND a.people > 0 THEN NULL
        WHEN through = 'unknown' AND a.people > 1 THEN NULL
        WHEN through = 'unknown' AND a.people > 0
            THEN 'nobody knows who started the run, so it needs the approvals of two people and has one'
        WHEN a.people > 0 THEN format('%s started the run and approved it: it needs somebody else''s approval', started_by)
        WHEN EXISTS (SELECT FROM billing.month_approvals AS e WHERE e.billing_month = month)
            THEN format('its rows have changed since they were approved, they are at %s now', billing.month_rows(month))
        ELSE 'nobody has approved it'
    END
FROM billing.finalisation_policy AS p CROSS JOIN approvals AS a;
$$;
COMMENT ON FUNCTION billing.missing_approval IS 'Why the month may not be finalised by a run that was started so; null when it may. A person needs somebody else''s approval, a schedule one, a run of which nobody knows who started it those of two people';

CREATE OR REPLACE FUNCTION billing.check_started_run() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF old.ended_at IS NOT NULL OR (to_jsonb(new) - 'ended_at') <> (to_jsonb(old) - 'ended_at') THEN
        RAISE EXCEPTION 'run % only ends, once', old.run_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_started_run IS 'Trigger: a run that somebody started ends once and otherwise stays as it is';
