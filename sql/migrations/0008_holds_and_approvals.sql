-- What keeps a draft from becoming final, or a final invoice from being charged, until people say so.

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
CREATE TRIGGER holds_change BEFORE UPDATE ON billing.holds
FOR EACH ROW EXECUTE FUNCTION billing.check_hold_change();
CREATE TRIGGER holds_keep BEFORE DELETE OR TRUNCATE ON billing.holds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('holds are released, not deleted');

CREATE TABLE billing.finalisation_policy (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    require_approval boolean NOT NULL,
    review_hours integer NOT NULL DEFAULT 24 CHECK (review_hours BETWEEN 0 AND 8760),
    charge_as_approved boolean NOT NULL DEFAULT FALSE,
    changed_by text NOT NULL CHECK (changed_by ~ '\S'),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.finalisation_policy IS 'One row: whether a month is finalised only with an approval. BILLING_REQUIRE_APPROVAL sets it; it stays as set';
COMMENT ON COLUMN billing.finalisation_policy.only_row IS 'There is one row';
COMMENT ON COLUMN billing.finalisation_policy.require_approval IS 'Whether finalising needs an approval of exactly these rows, by somebody else than who started the run: one person for a schedule''s or a person''s run, two for one of which nobody knows who started it';
COMMENT ON COLUMN billing.finalisation_policy.review_hours IS 'So many hours after it was drafted an invoice may become final, unless a person''s own command says so. BILLING_REVIEW_HOURS sets it';
COMMENT ON COLUMN billing.finalisation_policy.charge_as_approved IS 'Whether drafts that were approved become final although usage, corrections or prices have come since. BILLING_CHARGE_AS_APPROVED sets it';
COMMENT ON COLUMN billing.finalisation_policy.changed_by IS 'Who or what set it';
COMMENT ON COLUMN billing.finalisation_policy.changed_at IS 'When';
INSERT INTO billing.finalisation_policy (require_approval, changed_by) VALUES (FALSE, 'as installed');
CREATE TRIGGER finalisation_policy_change BEFORE UPDATE ON billing.finalisation_policy
FOR EACH ROW EXECUTE FUNCTION billing.log_finalisation_policy();
CREATE TRIGGER finalisation_policy_keep BEFORE DELETE OR TRUNCATE ON billing.finalisation_policy
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('without the row nobody would know whether approvals are needed');

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
CREATE TRIGGER month_approvals_of_seen_rows BEFORE INSERT ON billing.month_approvals
FOR EACH ROW EXECUTE FUNCTION billing.check_approval();
CREATE TRIGGER month_approvals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.month_approvals
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('approvals are append-only; hold the month instead');

CREATE TABLE billing.charge_requests (
    billing_month billing.month_start PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text NOT NULL
);
COMMENT ON TABLE billing.charge_requests IS 'One row a month that a charging run came to too early for some of its drafts: a sensor asks for it again. Gone with the run that finds none';
COMMENT ON COLUMN billing.charge_requests.billing_month IS 'Partition';
COMMENT ON COLUMN billing.charge_requests.requested_at IS 'When that run came';
COMMENT ON COLUMN billing.charge_requests.run_id IS 'The run';

CREATE TABLE billing.started_runs (
    run_id uuid PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    job text NOT NULL CHECK (job IN ('snapshot_month', 'bill_month', 'charge_month', 'whole_month')),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz CHECK (ended_at >= started_at)
);
CREATE UNIQUE INDEX started_runs_one_at_a_time ON billing.started_runs (billing_month, job) WHERE ended_at IS NULL;
COMMENT ON TABLE billing.started_runs IS 'One row a Dagster run that a person started from the console or the API: of one job and month one at a time';
COMMENT ON COLUMN billing.started_runs.run_id IS 'The run in Dagster';
COMMENT ON COLUMN billing.started_runs.billing_month IS 'Its month';
COMMENT ON COLUMN billing.started_runs.job IS 'bill_month; snapshot_month: it up to what was used; charge_month; whole_month: bill_month and, if it passed, charge_month';
COMMENT ON COLUMN billing.started_runs.author IS 'Who started it, and so does not approve it';
COMMENT ON COLUMN billing.started_runs.reason IS 'Why';
COMMENT ON COLUMN billing.started_runs.started_at IS 'When it was asked for';
COMMENT ON COLUMN billing.started_runs.ended_at IS 'When its process was seen to have ended; how it ended is in Dagster''s records. Null: it runs';
CREATE TRIGGER started_runs_change BEFORE UPDATE ON billing.started_runs
FOR EACH ROW EXECUTE FUNCTION billing.check_started_run();
CREATE TRIGGER started_runs_keep BEFORE DELETE OR TRUNCATE ON billing.started_runs
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('who started which run is kept');
