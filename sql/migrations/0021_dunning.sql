-- Dunning: what follows from an unpaid invoice, and where its customer stands. A case opens with the first refusal and
-- closes with the payment, both by triggers on stripe_charges; the steps between are those of a policy.

CREATE TABLE billing.dunning_cases (
    invoice_id uuid PRIMARY KEY REFERENCES billing.stripe_charges (invoice_id),
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    track text NOT NULL CHECK (track IN ('after_refusal', 'after_due_date')),
    begins_at timestamptz NOT NULL CHECK (isfinite(begins_at)),
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    level text NOT NULL DEFAULT 'none' CHECK (level IN ('none', 'past_due', 'in_grace', 'suspended')),
    closed_at timestamptz,
    outcome text CHECK (outcome IN ('paid', 'void', 'uncollectible')),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX dunning_cases_customer ON billing.dunning_cases (customer_id);
CREATE INDEX dunning_cases_open ON billing.dunning_cases (begins_at) WHERE closed_at IS NULL;
COMMENT ON TABLE billing.dunning_cases IS 'One row an invoice whose payment was ever refused: how far dunning has come, and how it ended';
COMMENT ON COLUMN billing.dunning_cases.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.dunning_cases.customer_id IS 'Who owes it';
COMMENT ON COLUMN billing.dunning_cases.track IS 'Which steps of the policy hold: after_due_date where the customer had payment terms at the refusal, else after_refusal';
COMMENT ON COLUMN billing.dunning_cases.begins_at IS 'Day 0: the first refusal, or the start of the due date in the customer''s zone';
COMMENT ON COLUMN billing.dunning_cases.opened_at IS 'When it was written';
COMMENT ON COLUMN billing.dunning_cases.level IS 'How far it has come; it only rises, and only while the charge is refused';
COMMENT ON COLUMN billing.dunning_cases.closed_at IS 'When the invoice was paid, void or written off; null: it is open';
COMMENT ON COLUMN billing.dunning_cases.outcome IS 'Which of them';

CREATE TABLE billing.dunning_steps (
    step_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id uuid NOT NULL REFERENCES billing.dunning_cases (invoice_id),
    ordinal integer NOT NULL CHECK (ordinal > 0),
    day integer NOT NULL,
    action text NOT NULL CHECK (
        action IN ('mail', 'past_due', 'grace', 'suspend', 'hold_drafts', 'propose_write_off')
    ),
    kind text NOT NULL DEFAULT '',
    done_at timestamptz NOT NULL,
    policy text NOT NULL CHECK (policy ~ '\S'),
    course text NOT NULL CHECK (course ~ '\S'),
    run_id text NOT NULL CHECK (run_id <> ''),
    facts jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(facts) = 'object'),
    CHECK ((action = 'mail') = (kind IN ('payment_due_soon', 'payment_overdue', 'final_notice'))),
    UNIQUE (invoice_id, ordinal)
);
COMMENT ON TABLE billing.dunning_steps IS 'One row a step that was taken in a case; append-only';
COMMENT ON COLUMN billing.dunning_steps.step_id IS 'Order of the steps';
COMMENT ON COLUMN billing.dunning_steps.invoice_id IS 'The case';
COMMENT ON COLUMN billing.dunning_steps.ordinal IS 'The how manieth of its case it is: two runs that saw the same steps cannot both take the next';
COMMENT ON COLUMN billing.dunning_steps.day IS 'Day of the course';
COMMENT ON COLUMN billing.dunning_steps.action IS 'mail, past_due, grace, suspend, hold_drafts or propose_write_off';
COMMENT ON COLUMN billing.dunning_steps.kind IS 'Kind of the mail; blank for other steps';
COMMENT ON COLUMN billing.dunning_steps.done_at IS 'When it was taken; the next one keeps its distance from it';
COMMENT ON COLUMN billing.dunning_steps.policy IS 'Name of the policy';
COMMENT ON COLUMN billing.dunning_steps.course IS 'Course of the policy that the case was on';
COMMENT ON COLUMN billing.dunning_steps.run_id IS 'Run that took it';
COMMENT ON COLUMN billing.dunning_steps.facts IS 'What its mail says besides, such as the day of a suspension';
CREATE TRIGGER dunning_steps_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.dunning_steps
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('steps of dunning are append-only');

CREATE TABLE billing.dunning_promises (
    promise_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    until timestamptz NOT NULL CHECK (isfinite(until)),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    promised_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dunning_promises_customer ON billing.dunning_promises (customer_id, promise_id);
COMMENT ON TABLE billing.dunning_promises IS 'One row a promise to pay: while it holds, the customer''s clock stands. The newest counts; append-only';
COMMENT ON COLUMN billing.dunning_promises.promise_id IS 'Order of the promises';
COMMENT ON COLUMN billing.dunning_promises.customer_id IS 'Who promised';
COMMENT ON COLUMN billing.dunning_promises.until IS 'End of the promised day in the customer''s zone';
COMMENT ON COLUMN billing.dunning_promises.author IS 'Who took it down';
COMMENT ON COLUMN billing.dunning_promises.reason IS 'What was said';
COMMENT ON COLUMN billing.dunning_promises.promised_at IS 'When';
CREATE TRIGGER dunning_promises_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.dunning_promises
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('promises are append-only; the newest counts');

CREATE TABLE billing.customer_standings (
    customer_id billing.platform_key PRIMARY KEY REFERENCES billing.customers (customer_id),
    state text NOT NULL DEFAULT 'current' CHECK (state IN ('current', 'past_due', 'in_grace', 'suspended', 'resumed')),
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.customer_standings IS 'One row a customer who was ever in dunning: where the customer stands now. It follows from the cases';
COMMENT ON COLUMN billing.customer_standings.customer_id IS 'The customer';
COMMENT ON COLUMN billing.customer_standings.state IS 'current; past_due; in_grace: to be suspended; suspended; resumed: was suspended and owes nothing overdue any more';
COMMENT ON COLUMN billing.customer_standings.since IS 'Since when';
CREATE TRIGGER customer_standings_follow BEFORE INSERT OR UPDATE ON billing.customer_standings
FOR EACH ROW EXECUTE FUNCTION billing.check_standing();
CREATE TRIGGER customer_standings_keep BEFORE DELETE OR TRUNCATE ON billing.customer_standings
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('where a customer stands is kept');

CREATE TABLE billing.standing_history (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    state_before text NOT NULL,
    state text NOT NULL,
    invoice_id uuid,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX standing_history_customer ON billing.standing_history (customer_id, change_id);
COMMENT ON TABLE billing.standing_history IS 'One row a change of where a customer stands; append-only';
COMMENT ON COLUMN billing.standing_history.change_id IS 'Order of the changes';
COMMENT ON COLUMN billing.standing_history.customer_id IS 'The customer';
COMMENT ON COLUMN billing.standing_history.state_before IS 'Where it stood';
COMMENT ON COLUMN billing.standing_history.state IS 'Where it stands from then on';
COMMENT ON COLUMN billing.standing_history.invoice_id IS 'The invoice whose case changed it';
COMMENT ON COLUMN billing.standing_history.changed_at IS 'When';
CREATE TRIGGER standing_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.standing_history
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the history is append-only');

CREATE TRIGGER dunning_cases_change BEFORE UPDATE ON billing.dunning_cases
FOR EACH ROW EXECUTE FUNCTION billing.check_dunning_case();
CREATE TRIGGER dunning_cases_keep BEFORE DELETE OR TRUNCATE ON billing.dunning_cases
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('cases of dunning are kept');
CREATE TRIGGER dunning_cases_settle AFTER UPDATE ON billing.dunning_cases
FOR EACH ROW WHEN ((new.level, new.outcome) IS DISTINCT FROM (old.level, old.outcome) AND new.level <> 'none')
EXECUTE FUNCTION billing.settle_standing();
CREATE TRIGGER dunning_steps_tell AFTER INSERT ON billing.dunning_steps
FOR EACH ROW WHEN (new.action = 'mail') EXECUTE FUNCTION billing.tell_of_dunning_step();
CREATE TRIGGER stripe_charges_then_dunning AFTER UPDATE ON billing.stripe_charges
FOR EACH ROW WHEN (new.state <> old.state AND new.state IN ('refused', 'paid', 'void', 'uncollectible'))
EXECUTE FUNCTION billing.follow_dunning();
