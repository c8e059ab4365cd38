-- Notices: what customers hear of, and how far each is sent. A row is written by a trigger in the transaction of the fact
-- that it tells of, so none is lost and none tells of what was rolled back. There are no rows for what happened before this
-- migration: nobody is mailed about the past.

CREATE TABLE billing.notices (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (
        kind IN (
            'invoice_issued', 'invoice_voided', 'payment_succeeded', 'payment_failed', 'action_required',
            'payment_method_missing', 'credit_note_issued', 'refund_succeeded', 'refund_failed', 'billing_changed',
            'payment_due_soon', 'payment_overdue', 'final_notice', 'service_suspended', 'service_resumed',
            'credits_low', 'credits_expiring', 'budget_reached', 'allowance_reached', 'usage_unusual', 'prices_changing',
            'trial_ending', 'details_changed', 'payment_method_expiring', 'payment_method_removed', 'alert'
        )
    ),
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    invoice_id uuid REFERENCES billing.invoices (invoice_id),
    fact text NOT NULL CHECK (fact ~ '^[a-z_]+:\S'),
    channel text NOT NULL CHECK (channel IN ('mail', 'webhook', 'alert_mail', 'slack', 'pagerduty')),
    recipient text NOT NULL CHECK (recipient <> ''),
    facts jsonb NOT NULL CHECK (jsonb_typeof(facts) = 'object'),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT notices_once_a_fact UNIQUE (fact, channel, recipient),
    CHECK ((kind = 'alert') = (customer_id IS NULL)),
    CHECK ((kind = 'alert') = (channel NOT IN ('mail', 'webhook')))
);
CREATE INDEX notices_customer ON billing.notices (customer_id, notice_id);
CREATE INDEX notices_invoice ON billing.notices (invoice_id);
COMMENT ON TABLE billing.notices IS 'One row a fact and recipient: what a customer, or for alerts an operator, is told, written in the transaction of the fact; append-only';
COMMENT ON COLUMN billing.notices.notice_id IS 'Order of writing; part of the Message-ID';
COMMENT ON COLUMN billing.notices.kind IS 'What it tells of; docs/notices.md has a row a kind';
COMMENT ON COLUMN billing.notices.customer_id IS 'Whom it concerns; null: operators, of an alert';
COMMENT ON COLUMN billing.notices.invoice_id IS 'The invoice that it concerns; null: none';
COMMENT ON COLUMN billing.notices.fact IS 'The kind and the key of the fact: the same fact is told a recipient once. A mail that a person sends again is a fact of its own';
COMMENT ON COLUMN billing.notices.channel IS 'mail or webhook; for operators alert_mail, slack or pagerduty';
COMMENT ON COLUMN billing.notices.recipient IS 'Mail address, as it was at the fact; the id of an endpoint; or the host of a chat or a pager, whose address and key are in the environment';
COMMENT ON COLUMN billing.notices.facts IS 'What was so at the fact: numbers, amounts in minor units, reason codes';
COMMENT ON COLUMN billing.notices.written_at IS 'When';
CREATE TRIGGER notices_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.notices
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('notices are append-only');

CREATE TABLE billing.notice_sendings (
    notice_id bigint PRIMARY KEY REFERENCES billing.notices (notice_id),
    state text NOT NULL DEFAULT 'pending' CHECK (
        state IN ('pending', 'claimed', 'handing_over', 'sent', 'overtaken', 'failed')
    ),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(due_at)),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    doubts integer NOT NULL DEFAULT 0 CHECK (doubts BETWEEN 0 AND attempts),
    claimed_until timestamptz CHECK (isfinite(claimed_until)),
    last_error text CHECK (last_error <> ''),
    sent_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state IN ('claimed', 'handing_over')) = (claimed_until IS NOT NULL)),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((state = 'failed') <= (last_error IS NOT NULL))
);
CREATE INDEX notice_sendings_due ON billing.notice_sendings (due_at, notice_id)
WHERE state IN ('pending', 'claimed', 'handing_over');
CREATE INDEX notice_sendings_failed ON billing.notice_sendings (notice_id) WHERE state = 'failed';
COMMENT ON TABLE billing.notice_sendings IS 'One row a notice: how far it is sent. What was sent, or was no longer so, stays as it is';
COMMENT ON COLUMN billing.notice_sendings.notice_id IS 'The notice';
COMMENT ON COLUMN billing.notice_sendings.state IS 'pending; claimed by a run that has given nothing away yet; handing_over: from here on the other side may have it; sent; overtaken: no longer so when its turn came; failed: given up, see last_error';
COMMENT ON COLUMN billing.notice_sendings.due_at IS 'Not before';
COMMENT ON COLUMN billing.notice_sendings.attempts IS 'How often it was tried';
COMMENT ON COLUMN billing.notice_sendings.doubts IS 'How often the other side may have taken it although its answer was lost: so many doubles there may be, all with one Message-ID';
COMMENT ON COLUMN billing.notice_sendings.claimed_until IS 'Until when nobody else takes it; null: nobody has it';
COMMENT ON COLUMN billing.notice_sendings.last_error IS 'What the last attempt ended with';
COMMENT ON COLUMN billing.notice_sendings.sent_at IS 'When the other side had taken it';
COMMENT ON COLUMN billing.notice_sendings.changed_at IS 'Last change';
CREATE TRIGGER notice_sendings_change BEFORE UPDATE ON billing.notice_sendings
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_sending();
CREATE TRIGGER notice_sendings_keep BEFORE DELETE OR TRUNCATE ON billing.notice_sendings
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what was sent is kept, so that it is not sent again');
CREATE TRIGGER notices_are_queued AFTER INSERT ON billing.notices
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.queue_notices();

CREATE TABLE billing.notice_holds (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice_id bigint REFERENCES billing.notices (notice_id),
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    kind text CHECK (kind <> ''),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (num_nonnulls(notice_id, customer_id, kind) <= 1),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX notice_holds_one_active ON billing.notice_holds (notice_id, customer_id, kind)
NULLS NOT DISTINCT WHERE released_at IS NULL;
COMMENT ON TABLE billing.notice_holds IS 'One row a hold on a notice, on those of a customer or of a kind, or on all: while it is active they wait';
COMMENT ON COLUMN billing.notice_holds.hold_id IS 'Order of placing';
COMMENT ON COLUMN billing.notice_holds.notice_id IS 'The one notice that waits';
COMMENT ON COLUMN billing.notice_holds.customer_id IS 'The customer whose notices wait';
COMMENT ON COLUMN billing.notice_holds.kind IS 'The kind that waits; where none of the three is named, all wait';
COMMENT ON COLUMN billing.notice_holds.author IS 'Who placed it';
COMMENT ON COLUMN billing.notice_holds.reason IS 'Why';
COMMENT ON COLUMN billing.notice_holds.placed_at IS 'When';
COMMENT ON COLUMN billing.notice_holds.released_at IS 'When it was released; null while it is active';
COMMENT ON COLUMN billing.notice_holds.released_by IS 'Who released it';
COMMENT ON COLUMN billing.notice_holds.release_reason IS 'Why';
CREATE TRIGGER notice_holds_change BEFORE UPDATE ON billing.notice_holds
FOR EACH ROW EXECUTE FUNCTION billing.check_hold_change();
CREATE TRIGGER notice_holds_keep BEFORE DELETE OR TRUNCATE ON billing.notice_holds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('holds are released, not deleted');

-- The facts.
CREATE TRIGGER stripe_charges_tell_of_issue AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.tell_of_issued_invoices();
CREATE TRIGGER stripe_charges_tell AFTER UPDATE ON billing.stripe_charges
FOR EACH ROW WHEN (
    new.state IN ('paid', 'void', 'refused') AND (new.state, new.attempt) IS DISTINCT FROM (old.state, old.attempt)
) EXECUTE FUNCTION billing.tell_of_charge();
CREATE TRIGGER credit_notes_tell AFTER UPDATE ON billing.credit_notes
FOR EACH ROW WHEN (new.state = 'issued' AND old.state <> 'issued') EXECUTE FUNCTION billing.tell_of_credit_note();
CREATE TRIGGER stripe_refunds_tell AFTER INSERT OR UPDATE ON billing.stripe_refunds
FOR EACH ROW WHEN (new.status = 'succeeded') EXECUTE FUNCTION billing.tell_of_refund();
CREATE TRIGGER failed_refunds_tell AFTER INSERT ON billing.failed_refunds
FOR EACH ROW EXECUTE FUNCTION billing.tell_of_failed_refund();
CREATE TRIGGER contract_terms_tell AFTER INSERT ON billing.contract_terms
FOR EACH ROW WHEN (new.effective_on IS NOT NULL) EXECUTE FUNCTION billing.tell_of_contract_change();
CREATE TRIGGER customers_tell AFTER UPDATE ON billing.customers
FOR EACH ROW WHEN (
    (
        new.name, new.email, new.address_line1, new.address_line2, new.postal_code, new.city, new.state, new.country,
        new.tax_id
    ) IS DISTINCT FROM (
        old.name, old.email, old.address_line1, old.address_line2, old.postal_code, old.city, old.state, old.country,
        old.tax_id
    )
) EXECUTE FUNCTION billing.tell_of_changed_details();
