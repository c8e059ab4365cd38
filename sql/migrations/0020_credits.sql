-- Prepaid credits: what customers were granted, and the ledger of what became of it. An invoice draws them when it becomes
-- final, in that transaction; Stripe is asked for the rest. Stripe's customer balance is another thing, and stands beside.

CREATE TABLE billing.credit_grants (
    grant_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    currency billing.currency_code NOT NULL,
    kind text NOT NULL CHECK (kind IN ('paid', 'promotional')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    balance_minor bigint NOT NULL DEFAULT 0,
    priority integer NOT NULL DEFAULT 100,
    expires_on date CHECK (isfinite(expires_on)),
    description text NOT NULL CHECK (description ~ '\S'),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (grant_id, customer_id, currency),
    CONSTRAINT credits_never_go_below_zero CHECK (balance_minor >= 0),
    CONSTRAINT credits_never_exceed_the_grant CHECK (balance_minor <= amount_minor)
);
CREATE INDEX credit_grants_customer ON billing.credit_grants (customer_id);
CREATE INDEX credit_grants_open ON billing.credit_grants (customer_id, currency) WHERE balance_minor > 0;
COMMENT ON TABLE billing.credit_grants IS 'One row a grant of prepaid credits; frozen, but for the balance that its ledger gives';
COMMENT ON COLUMN billing.credit_grants.grant_id IS 'Derived from customer, kind, amount and reason';
COMMENT ON COLUMN billing.credit_grants.customer_id IS 'Whose invoices it pays';
COMMENT ON COLUMN billing.credit_grants.currency IS 'Currency of the amounts; it pays invoices in the same';
COMMENT ON COLUMN billing.credit_grants.kind IS 'paid: the customer paid for it; promotional: a gift';
COMMENT ON COLUMN billing.credit_grants.amount_minor IS 'What was granted, in minor units';
COMMENT ON COLUMN billing.credit_grants.balance_minor IS 'What is left: the sum of its entries, moved by them alone';
COMMENT ON COLUMN billing.credit_grants.priority IS 'The lower is drawn first';
COMMENT ON COLUMN billing.credit_grants.expires_on IS 'Last day, in the customer''s zone, on which an invoice that becomes final draws it; null: without end';
COMMENT ON COLUMN billing.credit_grants.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.credit_grants.author IS 'Who granted it';
COMMENT ON COLUMN billing.credit_grants.reason IS 'Why';
COMMENT ON COLUMN billing.credit_grants.granted_at IS 'When';
CREATE TRIGGER credit_grants_change BEFORE INSERT OR UPDATE ON billing.credit_grants
FOR EACH ROW EXECUTE FUNCTION billing.check_credit_grant();
CREATE TRIGGER credit_grants_keep BEFORE DELETE OR TRUNCATE ON billing.credit_grants
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a grant is kept; what is left of it may be voided');

CREATE TABLE billing.credit_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    currency billing.currency_code NOT NULL,
    kind text NOT NULL CHECK (kind IN ('grant', 'draw', 'return', 'expire', 'void')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    invoice_id uuid REFERENCES billing.invoices (invoice_id),
    line_no integer CHECK (line_no > 0),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text CHECK (reason ~ '\S'),
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (grant_id, customer_id, currency) REFERENCES billing.credit_grants (grant_id, customer_id, currency),
    CONSTRAINT entries_have_the_sign_of_their_kind CHECK ((amount_minor > 0) = (kind IN ('grant', 'return'))),
    CONSTRAINT entries_of_invoices_name_them CHECK ((kind IN ('draw', 'return')) = (invoice_id IS NOT NULL)),
    CONSTRAINT draws_are_lines CHECK ((kind = 'draw') = (line_no IS NOT NULL))
);
CREATE UNIQUE INDEX credit_entries_one_grant ON billing.credit_entries (grant_id) WHERE kind = 'grant';
CREATE UNIQUE INDEX credit_entries_one_draw ON billing.credit_entries (invoice_id, grant_id) WHERE kind = 'draw';
CREATE UNIQUE INDEX credit_entries_line ON billing.credit_entries (invoice_id, line_no) WHERE kind = 'draw';
CREATE INDEX credit_entries_grant ON billing.credit_entries (grant_id);
CREATE INDEX credit_entries_customer ON billing.credit_entries (customer_id);
COMMENT ON TABLE billing.credit_entries IS 'One row a movement of prepaid credits: an append-only ledger';
COMMENT ON COLUMN billing.credit_entries.entry_id IS 'Order of writing';
COMMENT ON COLUMN billing.credit_entries.grant_id IS 'The grant that it moves';
COMMENT ON COLUMN billing.credit_entries.customer_id IS 'The grant''s customer, by foreign key';
COMMENT ON COLUMN billing.credit_entries.currency IS 'The grant''s currency, by foreign key';
COMMENT ON COLUMN billing.credit_entries.kind IS 'grant; draw: an invoice took it; return: it came back from one; expire; void: taken back by a person';
COMMENT ON COLUMN billing.credit_entries.amount_minor IS 'In minor units; below zero it leaves the grant';
COMMENT ON COLUMN billing.credit_entries.invoice_id IS 'The invoice of a draw or a return';
COMMENT ON COLUMN billing.credit_entries.line_no IS 'Of a draw: its place on the invoice, after the other lines';
COMMENT ON COLUMN billing.credit_entries.author IS 'Who did it: a person, or who started the run';
COMMENT ON COLUMN billing.credit_entries.reason IS 'Why, where a person did it';
COMMENT ON COLUMN billing.credit_entries.entered_at IS 'When';
CREATE TRIGGER credit_grants_begin AFTER INSERT ON billing.credit_grants
FOR EACH ROW EXECUTE FUNCTION billing.begin_credit_grant();
CREATE TRIGGER credit_entries_move BEFORE INSERT ON billing.credit_entries
FOR EACH ROW EXECUTE FUNCTION billing.move_credits();
CREATE CONSTRAINT TRIGGER credit_entries_agree AFTER INSERT ON billing.credit_entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.invoice_id IS NOT NULL)
EXECUTE FUNCTION billing.check_invoice_draws();
CREATE TRIGGER credit_entries_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.credit_entries
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the ledger of credits is append-only');
-- at commit: an invoice draws grant by grant
CREATE CONSTRAINT TRIGGER credit_entries_tell AFTER INSERT ON billing.credit_entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.kind = 'draw')
EXECUTE FUNCTION billing.tell_of_low_credits();

CREATE CONSTRAINT TRIGGER invoices_agree_with_credits AFTER UPDATE OF credits_minor ON billing.invoices
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.credits_minor <> old.credits_minor)
EXECUTE FUNCTION billing.check_invoice_draws();
CREATE TRIGGER invoices_return_credits AFTER UPDATE OF status ON billing.invoices
FOR EACH ROW WHEN (new.status = 'void' AND new.credits_minor > 0) EXECUTE FUNCTION billing.return_credits_of_void();
