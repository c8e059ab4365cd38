-- Lines and invoices, up to the line of no return, and what their amounts would be today. A void invoice keeps its lines and
-- no longer holds its period, which may be billed again as the next revision. Beside a period's own invoice there may be
-- supplementary ones, which carry adjustments only.

CREATE TABLE billing.invoice_line_items (
    invoice_id uuid NOT NULL,
    line_no integer NOT NULL CHECK (line_no > 0),
    period_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('usage', 'fee', 'minimum', 'maximum', 'commitment', 'discount')),
    description text NOT NULL,
    usage_quantity billing.exact_decimal NOT NULL,
    included_quantity billing.exact_decimal NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    unit_amount billing.exact_decimal NOT NULL,
    exact_amount numeric NOT NULL,
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL,
    price_id uuid REFERENCES billing.prices (price_id),
    price_version text,
    basis text NOT NULL CHECK (basis IN ('measured', 'carried_forward', 'corrected', 'term')),
    run_id text NOT NULL,
    snapshot_version integer NOT NULL DEFAULT 1 CHECK (snapshot_version > 0),
    code_version text NOT NULL DEFAULT 'unrecorded' CHECK (code_version <> ''),
    billed_days integer CHECK (billed_days > 0),
    full_days integer CHECK (full_days > billed_days),
    term_id uuid,
    PRIMARY KEY (invoice_id, line_no),
    CONSTRAINT lines_of_a_price_or_a_term CHECK (
        (kind IN ('usage', 'fee', 'minimum', 'maximum')) = (price_id IS NOT NULL) AND (price_id IS NULL) = (term_id IS NOT NULL)
        AND (term_id IS NULL) = (basis <> 'term') AND (price_id IS NULL OR price_version IS NOT NULL)
    ),
    CONSTRAINT terms_add_or_take_off CHECK (
        term_id IS NULL
        OR (
            quantity = 1 AND usage_quantity = 0 AND billed_days IS NULL AND amount_minor <> 0
            AND (amount_minor > 0) = (kind = 'commitment')
        )
    ),
    CONSTRAINT bounds_and_fees_are_no_usage CHECK (
        kind NOT IN ('fee', 'minimum', 'maximum')
        OR (usage_quantity = 0 AND included_quantity = 0 AND (kind = 'fee' OR quantity = 1))
    ),
    CONSTRAINT maximums_take_off CHECK (kind <> 'maximum' OR amount_minor < 0),
    CHECK ((billed_days IS NULL) = (full_days IS NULL)),
    CHECK (exact_amount = billing.prorated(quantity * unit_amount, billed_days, full_days)),
    CHECK (amount_minor = billing.to_minor(exact_amount, currency)),
    FOREIGN KEY (term_id, kind) REFERENCES billing.terms (term_id, kind),
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
COMMENT ON COLUMN billing.invoice_line_items.meter IS 'What was used; commitments or discounts for a term''s line';
COMMENT ON COLUMN billing.invoice_line_items.dimensions IS 'With which dimension values; of a term its name';
COMMENT ON COLUMN billing.invoice_line_items.kind IS 'usage; fee: the flat amount of a tier; minimum: what its lines lack of the price''s minimum; maximum: what they have beyond its maximum; commitment: what its meters lack of it; discount: what it takes off';
COMMENT ON COLUMN billing.invoice_line_items.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.invoice_line_items.usage_quantity IS 'Part of the snapshot''s quantity that this line covers';
COMMENT ON COLUMN billing.invoice_line_items.included_quantity IS 'Part of usage_quantity that the allowance covers';
COMMENT ON COLUMN billing.invoice_line_items.quantity IS 'Units, or packages, that are billed';
COMMENT ON COLUMN billing.invoice_line_items.unit_amount IS 'Rate in major units';
COMMENT ON COLUMN billing.invoice_line_items.exact_amount IS 'quantity times unit_amount, times billed_days / full_days where they are given; unrounded but to 24 places, in major units';
COMMENT ON COLUMN billing.invoice_line_items.billed_days IS 'Days of the short period of a constant meter that costs its share; null: the whole amount';
COMMENT ON COLUMN billing.invoice_line_items.full_days IS 'Days of the whole period of the cycle; null: the whole amount';
COMMENT ON COLUMN billing.invoice_line_items.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.invoice_line_items.amount_minor IS 'exact_amount rounded once to minor units; the integer that Stripe gets';
COMMENT ON COLUMN billing.invoice_line_items.price_id IS 'The price row that priced it; null for a term''s line';
COMMENT ON COLUMN billing.invoice_line_items.term_id IS 'The term that made it; null for a priced line';
COMMENT ON COLUMN billing.invoice_line_items.price_version IS 'Version of the price book in force at the period''s start; null for what was granted by hand';
COMMENT ON COLUMN billing.invoice_line_items.basis IS 'Basis of the snapshot; term: derived from the lines before it';
COMMENT ON COLUMN billing.invoice_line_items.run_id IS 'Run that wrote the row';
COMMENT ON COLUMN billing.invoice_line_items.snapshot_version IS 'Version of the period''s snapshots that was billed: 1 is in usage_snapshots, later ones in restated_snapshots';
COMMENT ON COLUMN billing.invoice_line_items.code_version IS 'Version of the package and digest of the rules that first gave this line';
CREATE TRIGGER invoice_line_items_inserted AFTER INSERT ON billing.invoice_line_items
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_lines();
CREATE TRIGGER invoice_line_items_deleted AFTER DELETE ON billing.invoice_line_items
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_lines();
CREATE TRIGGER invoice_line_items_no_update BEFORE UPDATE OR TRUNCATE ON billing.invoice_line_items
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');

CREATE TABLE billing.invoices (
    invoice_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    billing_month billing.month_start NOT NULL,
    revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
    currency billing.currency_code NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    credits_minor bigint NOT NULL DEFAULT 0,
    due_minor bigint NOT NULL GENERATED ALWAYS AS (total_minor - credits_minor) STORED,
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
    supplement_no integer NOT NULL DEFAULT 0 CHECK (supplement_no >= 0),
    supersedes_invoice_id uuid,
    superseded_revision integer GENERATED ALWAYS AS (nullif(revision, 0) - 1) STORED,
    finalised_by text CHECK (finalised_by ~ '\S'),
    finalised_through text CHECK (finalised_through IN ('person', 'schedule', 'unknown')),
    CONSTRAINT invoices_draw_credits_up_to_their_total CHECK (
        credits_minor BETWEEN 0 AND total_minor AND (status <> 'draft' OR credits_minor = 0)
    ),
    CHECK ((status = 'draft') = (finalised_by IS NULL)),
    CHECK ((status = 'draft') = (finalised_through IS NULL)),
    CHECK ((status = 'draft') = (invoice_number IS NULL)),
    CHECK ((status = 'draft') = (finalised_at IS NULL)),
    CONSTRAINT invoices_name_what_they_supersede CHECK ((revision = 0) = (supersedes_invoice_id IS NULL)),
    CONSTRAINT invoices_period_id_revision_key UNIQUE (period_id, supplement_no, revision),
    CONSTRAINT invoices_revision_of UNIQUE (invoice_id, period_id, supplement_no, revision),
    CONSTRAINT invoices_of_adjustments UNIQUE (invoice_id, customer_id, period_id, billing_month, currency),
    UNIQUE (invoice_id, customer_id, billing_month, due_minor, currency),
    CONSTRAINT invoices_supersede_the_revision_before
    FOREIGN KEY (supersedes_invoice_id, period_id, supplement_no, superseded_revision)
    REFERENCES billing.invoices (invoice_id, period_id, supplement_no, revision),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE UNIQUE INDEX invoices_one_live ON billing.invoices (period_id, supplement_no) WHERE status <> 'void';
-- in the order in which people list them
CREATE INDEX invoices_month ON billing.invoices (billing_month DESC, invoice_number, customer_id, revision);
-- in the order in which programs page through them, which no draft that becomes final changes
CREATE INDEX invoices_pages ON billing.invoices (billing_month DESC, customer_id, supplement_no, revision);
CREATE INDEX invoices_not_paid ON billing.invoices (status, billing_month DESC, invoice_number)
WHERE status IN ('open', 'void', 'uncollectible');
CREATE INDEX invoices_drafts ON billing.invoices (billing_month) WHERE status = 'draft';
CREATE INDEX invoices_customer ON billing.invoices (customer_id);
COMMENT ON TABLE billing.invoices IS 'One row an invoice. A draft is rebuilt with its month; from finalisation on only its status moves';
COMMENT ON COLUMN billing.invoices.invoice_id IS 'Derived from customer, period and revision';
COMMENT ON COLUMN billing.invoices.customer_id IS 'Who pays';
COMMENT ON COLUMN billing.invoices.period_id IS 'The period that it bills; one live invoice a period, and one of each of its supplements';
COMMENT ON COLUMN billing.invoices.billing_month IS 'Partition';
COMMENT ON COLUMN billing.invoices.revision IS '0, or one more than the voided invoice that it replaces';
COMMENT ON COLUMN billing.invoices.currency IS 'Currency of the total';
COMMENT ON COLUMN billing.invoices.total_minor IS 'Sum of the lines and adjustments, in minor units; never below zero';
COMMENT ON COLUMN billing.invoices.credits_minor IS 'What of the total prepaid credits paid when it became final, by the ledger credit_entries; what a void gave back stays in it';
COMMENT ON COLUMN billing.invoices.due_minor IS 'The rest of the total: what Stripe is asked for';
COMMENT ON COLUMN billing.invoices.line_count IS 'Number of lines and adjustments';
COMMENT ON COLUMN billing.invoices.status IS 'draft, open (finalised), paid, void or uncollectible';
COMMENT ON COLUMN billing.invoices.invoice_number IS 'Assigned at finalisation; without gaps, because each number needs the one before';
COMMENT ON COLUMN billing.invoices.previous_number IS 'The number before, which must exist';
COMMENT ON COLUMN billing.invoices.number IS 'The number as printed';
COMMENT ON COLUMN billing.invoices.finalised_at IS 'When it became final';
COMMENT ON COLUMN billing.invoices.run_id IS 'Run that drafted it';
COMMENT ON COLUMN billing.invoices.supplement_no IS '0: the period''s own invoice; n: its n-th supplementary one, which carries adjustments only';
COMMENT ON COLUMN billing.invoices.supersedes_invoice_id IS 'The voided invoice that a revision above 0 replaces';
COMMENT ON COLUMN billing.invoices.superseded_revision IS 'Revision of the invoice that it replaces: one less';
COMMENT ON COLUMN billing.invoices.finalised_by IS 'Who started the run that finalised it: a person''s name, a schedule''s, or unknown; null for a draft';
COMMENT ON COLUMN billing.invoices.finalised_through IS 'How that is known: person (a signed command), schedule (Dagster''s own records name it), unknown';
CREATE TRIGGER invoices_inserted AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_new_invoices();
CREATE TRIGGER invoices_deleted AFTER DELETE ON billing.invoices
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_new_invoices();
CREATE TRIGGER invoices_no_truncate BEFORE TRUNCATE ON billing.invoices
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('invoices are kept');
CREATE TRIGGER invoices_change BEFORE UPDATE OR DELETE ON billing.invoices
FOR EACH ROW EXECUTE FUNCTION billing.check_invoice_change();

-- Beside the invoices and not in them: a month that is built at another time has the same drafts, to the last byte.
CREATE TABLE billing.draft_times (
    invoice_id uuid PRIMARY KEY REFERENCES billing.invoices (invoice_id) ON DELETE CASCADE,
    drafted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.draft_times IS 'One row an invoice: since when its draft could be looked at. A draft that is built again as it was keeps its time';
COMMENT ON COLUMN billing.draft_times.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.draft_times.drafted_at IS 'When it was drafted: the time for looking at it is counted from here';
CREATE TRIGGER invoices_are_timed AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.time_drafts();
CREATE TRIGGER draft_times_stay BEFORE UPDATE OR TRUNCATE ON billing.draft_times
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a draft keeps its time');
CREATE TRIGGER draft_times_go_with_the_draft BEFORE DELETE ON billing.draft_times
FOR EACH ROW EXECUTE FUNCTION billing.check_draft_time_goes();

CREATE TABLE billing.invoice_numbering (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_number bigint NOT NULL CHECK (last_number >= 0)
);
COMMENT ON TABLE billing.invoice_numbering IS 'The last invoice number given out; whoever finalises locks the row, so numbers have no gaps';
COMMENT ON COLUMN billing.invoice_numbering.only_row IS 'There is one row';
COMMENT ON COLUMN billing.invoice_numbering.last_number IS 'Number of the invoice finalised last';
INSERT INTO billing.invoice_numbering (last_number) VALUES (0);
CREATE CONSTRAINT TRIGGER invoice_numbering_fits AFTER UPDATE ON billing.invoice_numbering
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_invoice_numbering();
CREATE TRIGGER invoice_numbering_keep BEFORE DELETE OR TRUNCATE ON billing.invoice_numbering
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('invoice numbers go on');

CREATE TABLE billing.billing_drift (
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('usage', 'fee', 'minimum', 'maximum', 'commitment', 'discount')),
    description text NOT NULL,
    currency billing.currency_code NOT NULL,
    billed_quantity billing.exact_decimal NOT NULL,
    current_quantity billing.exact_decimal NOT NULL,
    billed_minor bigint NOT NULL,
    current_minor bigint NOT NULL,
    difference_minor bigint NOT NULL GENERATED ALWAYS AS (current_minor - billed_minor) STORED CHECK (difference_minor <> 0),
    reason text NOT NULL CHECK (
        reason <> '' AND string_to_array(reason, '+')
        <@ ARRAY[
            'late_event', 'corrected_event', 'price_change', 'term_change', 'customer_change', 'contract_change', 'code_change'
        ]
    ),
    snapshot_version integer NOT NULL CHECK (snapshot_version > 0),
    as_of timestamptz NOT NULL,
    run_id text NOT NULL,
    PRIMARY KEY (period_id, meter, dimensions, kind),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX billing_drift_month ON billing.billing_drift (billing_month);
CREATE INDEX billing_drift_customer ON billing.billing_drift (customer_id);
COMMENT ON TABLE billing.billing_drift IS 'One row a billed period, meter, dimensions and kind of line whose amount would be another one today; rebuilt with its month. Settlements, adjustments and credit notes are not subtracted: the row is the whole difference to the invoice''s own lines';
COMMENT ON COLUMN billing.billing_drift.billing_month IS 'Partition';
COMMENT ON COLUMN billing.billing_drift.customer_id IS 'Who was billed';
COMMENT ON COLUMN billing.billing_drift.period_id IS 'The period';
COMMENT ON COLUMN billing.billing_drift.invoice_id IS 'The period''s finalised invoice that is not void. Periods without one are drafted from today''s data and have no drift';
COMMENT ON COLUMN billing.billing_drift.meter IS 'Meter';
COMMENT ON COLUMN billing.billing_drift.dimensions IS 'Dimension values';
COMMENT ON COLUMN billing.billing_drift.kind IS 'usage, fee, minimum, maximum, commitment or discount, as in invoice_line_items';
COMMENT ON COLUMN billing.billing_drift.description IS 'Text of the line, today''s where there is one';
COMMENT ON COLUMN billing.billing_drift.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.billing_drift.billed_quantity IS 'Usage on the invoice, 0 if it has no such line';
COMMENT ON COLUMN billing.billing_drift.current_quantity IS 'Usage by today''s data, 0 if it gives no such line';
COMMENT ON COLUMN billing.billing_drift.billed_minor IS 'What the invoice''s lines say, in minor units';
COMMENT ON COLUMN billing.billing_drift.current_minor IS 'What today''s data and prices give, in minor units';
COMMENT ON COLUMN billing.billing_drift.difference_minor IS 'Positive: billed too little; negative: too much';
COMMENT ON COLUMN billing.billing_drift.reason IS 'late_event, corrected_event, price_change (prices or meters of the book), term_change (the same rates on other terms, such as an allowance or a minimum, or a commitment or discount), customer_change (the customer''s own prices), contract_change (other days, or another plan), several joined by +; code_change when data and prices are the same';
COMMENT ON COLUMN billing.billing_drift.snapshot_version IS 'Version of the period''s snapshots that current_minor is rated from';
COMMENT ON COLUMN billing.billing_drift.as_of IS 'Cut-off of that look at the usage';
COMMENT ON COLUMN billing.billing_drift.run_id IS 'Run that wrote the row';
CREATE TRIGGER billing_drift_no_update BEFORE UPDATE OR TRUNCATE ON billing.billing_drift
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');
