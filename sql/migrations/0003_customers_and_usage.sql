-- What the platform tells us: customers and usage. Usage is append-only; a mistake in it is corrected by another event.

CREATE TABLE billing.customers (
    customer_id billing.platform_key PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    email text NOT NULL CHECK (email LIKE '%_@_%'),
    currency billing.currency_code NOT NULL,
    timezone text NOT NULL CHECK (timezone <> ''),
    billing_cycle text NOT NULL DEFAULT 'calendar_month'
    CHECK (billing_cycle IN ('calendar_month', 'monthly') OR billing_cycle ~ '^[1-9][0-9]{0,2}_(days|months)$'),
    cycle_anchor date CHECK (isfinite(cycle_anchor)),
    stripe_customer_id text UNIQUE CHECK (stripe_customer_id <> ''),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'on_hold', 'inactive')),
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    language text CHECK (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    payment_terms_days integer CHECK (payment_terms_days BETWEEN 0 AND 365),
    address_line1 text CHECK (address_line1 <> ''),
    address_line2 text CHECK (address_line2 <> ''),
    postal_code text CHECK (postal_code <> ''),
    city text CHECK (city <> ''),
    state text CHECK (state <> ''),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    tax_id text CHECK (tax_id <> ''),
    CHECK (billing_cycle = 'calendar_month' OR cycle_anchor IS NOT NULL)
);
CREATE INDEX customers_search ON billing.customers
USING gin (billing.search_grams(customer_id::text || ' ' || name || ' ' || email));
CREATE INDEX customers_name ON billing.customers (lower(name));
CREATE INDEX customers_email ON billing.customers (lower(email));
COMMENT ON TABLE billing.customers IS 'One row a customer of the platform';
COMMENT ON COLUMN billing.customers.customer_id IS 'The platform''s key; text, so leading zeros survive';
COMMENT ON COLUMN billing.customers.name IS 'Name on the invoice';
COMMENT ON COLUMN billing.customers.email IS 'Where Stripe sends the invoice';
COMMENT ON COLUMN billing.customers.currency IS 'Currency of the customer''s price book and invoices';
COMMENT ON COLUMN billing.customers.timezone IS 'IANA zone in which the customer''s days begin';
COMMENT ON COLUMN billing.customers.billing_cycle IS 'calendar_month, or monthly, N_months or N_days counted from cycle_anchor';
COMMENT ON COLUMN billing.customers.cycle_anchor IS 'First billed day; periods of days or months are counted from it';
COMMENT ON COLUMN billing.customers.stripe_customer_id IS 'The customer at Stripe (cus_…); created at the first charge when blank';
COMMENT ON COLUMN billing.customers.status IS 'active: billed and charged; on_hold: drafted, never finalised; inactive: not billed';
COMMENT ON COLUMN billing.customers.imported_at IS 'When this row last came in or changed';
COMMENT ON COLUMN billing.customers.created_at IS 'When the customer first came in: where neither a start nor usage is known, it is billed from the period that holds this instant';
COMMENT ON COLUMN billing.customers.language IS 'Language of the customer''s documents (BCP 47, such as de or pt-BR); null: English';
COMMENT ON COLUMN billing.customers.payment_terms_days IS 'Days from the invoice to its due date; null: the setting for everybody';
COMMENT ON COLUMN billing.customers.address_line1 IS 'Street and number';
COMMENT ON COLUMN billing.customers.address_line2 IS 'Second line of the address';
COMMENT ON COLUMN billing.customers.postal_code IS 'Postal code';
COMMENT ON COLUMN billing.customers.city IS 'City';
COMMENT ON COLUMN billing.customers.state IS 'State, province or region';
COMMENT ON COLUMN billing.customers.country IS 'Country as ISO 3166-1 alpha-2';
COMMENT ON COLUMN billing.customers.tax_id IS 'Tax identification number as the customer gave it; nothing has proved it yet';

CREATE TABLE billing.customer_relinks (
    relink_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    from_stripe_customer_id text NOT NULL CHECK (from_stripe_customer_id <> ''),
    to_stripe_customer_id text NOT NULL CHECK (to_stripe_customer_id <> ''),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    relinked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (from_stripe_customer_id <> to_stripe_customer_id)
);
CREATE INDEX customer_relinks_from ON billing.customer_relinks (from_stripe_customer_id);
CREATE INDEX customer_relinks_customer ON billing.customer_relinks (customer_id, relink_id);
COMMENT ON TABLE billing.customer_relinks IS 'One row a customer that got another customer at Stripe, because the one before was deleted there; append-only';
COMMENT ON COLUMN billing.customer_relinks.relink_id IS 'Order of writing';
COMMENT ON COLUMN billing.customer_relinks.customer_id IS 'The customer';
COMMENT ON COLUMN billing.customer_relinks.from_stripe_customer_id IS 'The customer at Stripe until then';
COMMENT ON COLUMN billing.customer_relinks.to_stripe_customer_id IS 'The customer at Stripe from then on';
COMMENT ON COLUMN billing.customer_relinks.author IS 'Who decided';
COMMENT ON COLUMN billing.customer_relinks.reason IS 'Why';
COMMENT ON COLUMN billing.customer_relinks.relinked_at IS 'When';
CREATE TRIGGER customer_relinks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.customer_relinks
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what a customer was at Stripe is kept');
CREATE CONSTRAINT TRIGGER customers_evidence AFTER UPDATE ON billing.customers
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.stripe_customer_id IS DISTINCT FROM old.stripe_customer_id)
EXECUTE FUNCTION billing.check_customer_evidence();
CREATE TRIGGER customers_at_stripe BEFORE UPDATE OF stripe_customer_id ON billing.customers
FOR EACH ROW WHEN (old.stripe_customer_id IS DISTINCT FROM new.stripe_customer_id)
EXECUTE FUNCTION billing.check_customer_at_stripe();

CREATE TABLE billing.contract_terms (
    term_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    effective_on date CHECK (isfinite(effective_on)),
    state text NOT NULL CHECK (state IN ('active', 'paused', 'ended')),
    plan text CHECK (plan ~ '\S'),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    withdrawn_at timestamptz,
    withdrawn_by text CHECK (withdrawn_by ~ '\S'),
    trial_until date CHECK (isfinite(trial_until)),
    CHECK (trial_until IS NULL OR (state = 'active' AND trial_until >= effective_on - 1)),
    CHECK (plan IS NULL OR state = 'active'),
    CHECK (effective_on IS NOT NULL OR state = 'active'),
    CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE UNIQUE INDEX contract_terms_one_a_day ON billing.contract_terms (customer_id, effective_on)
NULLS NOT DISTINCT WHERE withdrawn_at IS NULL;
COMMENT ON TABLE billing.contract_terms IS 'One row what holds for a customer from a day on, until its next row: rows cannot overlap. Append-only but for the withdrawal. A customer without a row is billed from its first evidence on, see billing.contracts';
COMMENT ON COLUMN billing.contract_terms.term_id IS 'Order of writing';
COMMENT ON COLUMN billing.contract_terms.customer_id IS 'Whose contract';
COMMENT ON COLUMN billing.contract_terms.effective_on IS 'First day in the customer''s time zone; null: from its first evidence on';
COMMENT ON COLUMN billing.contract_terms.state IS 'active: billed; paused or ended: not billed, until the next row';
COMMENT ON COLUMN billing.contract_terms.plan IS 'Plan of the price book; null: the prices that hold for all';
COMMENT ON COLUMN billing.contract_terms.trial_until IS 'Last day of the contract''s trial, in the customer''s time zone; the day before effective_on: no trial; null: what the plan that it starts on gives';
COMMENT ON COLUMN billing.contract_terms.author IS 'Who said so; for a file, the command that imported it';
COMMENT ON COLUMN billing.contract_terms.reason IS 'Why';
COMMENT ON COLUMN billing.contract_terms.created_at IS 'When it was written';
COMMENT ON COLUMN billing.contract_terms.withdrawn_at IS 'When it was taken back or replaced: it never held; null while it holds';
COMMENT ON COLUMN billing.contract_terms.withdrawn_by IS 'Who took it back';
CREATE TRIGGER contract_terms_change BEFORE UPDATE ON billing.contract_terms
FOR EACH ROW WHEN (
    old.withdrawn_at IS NOT NULL
    OR (new.customer_id, new.effective_on, new.state, new.plan, new.trial_until, new.author, new.reason, new.created_at)
    IS DISTINCT FROM
    (old.customer_id, old.effective_on, old.state, old.plan, old.trial_until, old.author, old.reason, old.created_at)
) EXECUTE FUNCTION billing.refuse_change('a contract''s row is only withdrawn, once');
CREATE TRIGGER contract_terms_keep BEFORE DELETE OR TRUNCATE ON billing.contract_terms
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('contracts are kept, a row is withdrawn');

CREATE TABLE billing.usage_imports (
    import_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    content_sha256 text,
    received_at timestamptz NOT NULL,
    row_count bigint NOT NULL CHECK (row_count >= 0),
    new_event_count bigint NOT NULL CHECK (new_event_count BETWEEN 0 AND row_count),
    oldest_new_at timestamptz,
    newest_at timestamptz,
    complete_through timestamptz CHECK (isfinite(complete_through)),
    CHECK ((oldest_new_at IS NULL) = (new_event_count = 0))
);
COMMENT ON TABLE billing.usage_imports IS 'One row an import of usage: what came in and how far the feed is complete';
COMMENT ON COLUMN billing.usage_imports.import_id IS 'Order of the imports';
COMMENT ON COLUMN billing.usage_imports.source IS 'File name, or correction';
COMMENT ON COLUMN billing.usage_imports.content_sha256 IS 'Digest of the file''s bytes';
COMMENT ON COLUMN billing.usage_imports.received_at IS 'The received_at of every event that this import added';
COMMENT ON COLUMN billing.usage_imports.row_count IS 'Rows in the file';
COMMENT ON COLUMN billing.usage_imports.new_event_count IS 'Rows that were not known before';
COMMENT ON COLUMN billing.usage_imports.oldest_new_at IS 'Earliest occurred_at among the new events: no month before it is touched';
COMMENT ON COLUMN billing.usage_imports.newest_at IS 'Latest occurred_at in the file';
COMMENT ON COLUMN billing.usage_imports.complete_through IS 'Usage before this instant is complete: as declared, else newest_at; null for corrections';
CREATE TRIGGER usage_imports_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_imports
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the record of imports is append-only');

CREATE TABLE billing.usage_events (
    event_id billing.platform_key PRIMARY KEY,
    customer_id billing.platform_key NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(dimensions) = 'object'),
    quantity billing.exact_decimal NOT NULL,
    occurred_at timestamptz NOT NULL CHECK (isfinite(occurred_at)),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    properties jsonb CHECK (jsonb_typeof(properties) = 'object'),
    series_id uuid NOT NULL GENERATED ALWAYS AS (
        md5(customer_id::text || chr(31) || meter::text || chr(31) || dimensions::text)::uuid
    ) STORED
);
-- received_at is no key: as a condition behind a range, the planner takes it for a search for each instant of the range,
-- finds that dear, and reads the events of all customers instead
CREATE INDEX usage_events_level ON billing.usage_events
(series_id, occurred_at DESC) INCLUDE (received_at, event_id, quantity);
CREATE INDEX usage_events_received_at ON billing.usage_events USING brin (received_at);
CREATE INDEX usage_events_occurred_at ON billing.usage_events (occurred_at);
COMMENT ON TABLE billing.usage_events IS 'One row a usage event, as the platform sent it; append-only';
COMMENT ON COLUMN billing.usage_events.event_id IS 'The platform''s key: the same id twice is one event';
COMMENT ON COLUMN billing.usage_events.customer_id IS 'Who used it; not a foreign key, because usage of unknown customers is kept and quarantined';
COMMENT ON COLUMN billing.usage_events.meter IS 'Which meter of the price book counts it';
COMMENT ON COLUMN billing.usage_events.dimensions IS 'The meter''s dimensions, name to value';
COMMENT ON COLUMN billing.usage_events.quantity IS 'Amount used, or the new level, or by how much it changes, in the meter''s unit';
COMMENT ON COLUMN billing.usage_events.occurred_at IS 'When it was used or the level changed';
COMMENT ON COLUMN billing.usage_events.received_at IS 'When it reached us; snapshots cut off here';
COMMENT ON COLUMN billing.usage_events.properties IS 'What the event says beside its dimensions, name to value: nothing is priced by it, and a meter may count the distinct values of one; null: nothing';
COMMENT ON COLUMN billing.usage_events.series_id IS 'Customer, meter and dimensions in one key';
CREATE TRIGGER usage_events_register_series
AFTER INSERT ON billing.usage_events REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.register_usage_series();
CREATE TRIGGER usage_events_then_move_levels
AFTER INSERT ON billing.usage_events REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.move_levels_by_events();
CREATE TRIGGER usage_events_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_events
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('usage is append-only, write a correcting event');

CREATE TABLE billing.usage_series (
    series_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    dimension_names text[] NOT NULL,
    first_occurred_at timestamptz NOT NULL,
    CHECK (series_id = md5(customer_id::text || chr(31) || meter::text || chr(31) || dimensions::text)::uuid)
);
CREATE INDEX usage_series_customer ON billing.usage_series (customer_id);
COMMENT ON TABLE billing.usage_series IS 'One row a customer, meter and dimensions that ever had an event; kept by a trigger on usage_events';
COMMENT ON COLUMN billing.usage_series.series_id IS 'As in usage_events';
COMMENT ON COLUMN billing.usage_series.customer_id IS 'Who used it';
COMMENT ON COLUMN billing.usage_series.meter IS 'Which meter';
COMMENT ON COLUMN billing.usage_series.dimensions IS 'Which dimensions';
COMMENT ON COLUMN billing.usage_series.dimension_names IS 'Names in dimensions, sorted by their bytes whatever the database''s collation';
COMMENT ON COLUMN billing.usage_series.first_occurred_at IS 'Earliest event: before it there is no level to look up';
CREATE TRIGGER usage_series_change BEFORE UPDATE ON billing.usage_series
FOR EACH ROW WHEN (
    (new.series_id, new.customer_id, new.meter, new.dimensions, new.dimension_names)
    IS DISTINCT FROM (old.series_id, old.customer_id, old.meter, old.dimensions, old.dimension_names)
    OR new.first_occurred_at > old.first_occurred_at
) EXECUTE FUNCTION billing.refuse_change('of a series only first_occurred_at moves, and only back: a later one would drop usage');
CREATE TRIGGER usage_series_keep
BEFORE DELETE OR TRUNCATE ON billing.usage_series
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a series without a row would drop its usage');

CREATE TABLE billing.usage_delta_levels (
    series_id uuid NOT NULL,
    month billing.month_start NOT NULL,
    level numeric NOT NULL,
    PRIMARY KEY (series_id, month)
);
COMMENT ON TABLE billing.usage_delta_levels IS 'One row a series of changes of a level and UTC month in which it has events: what they add up to, so that no measurement reads history. Kept by triggers, for meters with events: deltas alone';
COMMENT ON COLUMN billing.usage_delta_levels.series_id IS 'The series';
COMMENT ON COLUMN billing.usage_delta_levels.month IS 'First day of the month, in UTC';
COMMENT ON COLUMN billing.usage_delta_levels.level IS 'Sum of all its events until the month''s end that count now';

CREATE TABLE billing.usage_corrections (
    event_id billing.platform_key PRIMARY KEY REFERENCES billing.usage_events (event_id),
    corrects_event_id billing.platform_key UNIQUE REFERENCES billing.usage_events (event_id),
    author text NOT NULL CHECK (author <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    removes boolean NOT NULL DEFAULT FALSE CHECK (NOT removes OR corrects_event_id IS NOT NULL),
    place_received_at timestamptz,
    place_event_id text,
    CHECK (corrects_event_id <> event_id),
    CHECK (place_event_id IS NULL OR corrects_event_id IS NOT NULL),
    CHECK ((place_event_id IS NULL) = (place_received_at IS NULL))
);
CREATE INDEX usage_corrections_removals ON billing.usage_corrections (event_id) WHERE removes;
COMMENT ON TABLE billing.usage_corrections IS 'One row a correcting event: it stands in for the event that it corrects, takes it away, or adds one that was missing';
COMMENT ON COLUMN billing.usage_corrections.event_id IS 'The correcting event';
COMMENT ON COLUMN billing.usage_corrections.corrects_event_id IS 'The event that no longer counts; null when the correction adds one. Unique: to correct again, correct the correction';
COMMENT ON COLUMN billing.usage_corrections.author IS 'Who corrected';
COMMENT ON COLUMN billing.usage_corrections.reason IS 'Why';
COMMENT ON COLUMN billing.usage_corrections.removes IS 'The event that it corrects never was, and this one counts no more than that one: neither as a quantity nor as a level';
COMMENT ON COLUMN billing.usage_corrections.place_received_at IS 'received_at of the first event of its chain, by which events of one instant are ordered; a trigger finds it';
COMMENT ON COLUMN billing.usage_corrections.place_event_id IS 'event_id of the first event of its chain: a correction takes the place of what it corrects; a trigger finds it';
CREATE TRIGGER usage_corrections_take_their_place
BEFORE INSERT ON billing.usage_corrections
FOR EACH ROW EXECUTE FUNCTION billing.place_correction();
CREATE TRIGGER usage_corrections_form_chains
AFTER INSERT ON billing.usage_corrections REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.check_correction();
CREATE TRIGGER usage_corrections_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_corrections
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('corrections are append-only, correct the correction');
CREATE TRIGGER usage_corrections_move_levels
AFTER INSERT ON billing.usage_corrections REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.move_levels_by_corrections();
