-- The price book as tables. A price row never changes: a changed price is another row and the old one is retired,
-- so that a line can name for ever the very row that priced it.

CREATE TABLE billing.price_loads (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_name text NOT NULL CHECK (file_name <> ''),
    content text NOT NULL,
    content_sha256 text NOT NULL CHECK (content_sha256 = encode(sha256(convert_to(content, 'UTF8')), 'hex')),
    author text NOT NULL CHECK (author <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    run_id text,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.price_loads IS 'One row a load of a price book file; the newest one is in use';
COMMENT ON COLUMN billing.price_loads.load_id IS 'Rises';
COMMENT ON COLUMN billing.price_loads.file_name IS 'Name of the file, without its folder';
COMMENT ON COLUMN billing.price_loads.content IS 'The whole file';
COMMENT ON COLUMN billing.price_loads.content_sha256 IS 'Its digest';
COMMENT ON COLUMN billing.price_loads.author IS 'Who loaded it';
COMMENT ON COLUMN billing.price_loads.reason IS 'Why';
COMMENT ON COLUMN billing.price_loads.run_id IS 'Dagster run that loaded it, as the first book; null: a person did';
COMMENT ON COLUMN billing.price_loads.loaded_at IS 'When';
CREATE TRIGGER price_loads_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.price_loads
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what was loaded is kept');

CREATE TABLE billing.price_books (
    currency billing.currency_code PRIMARY KEY,
    name text NOT NULL,
    content_sha256 text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text
);
COMMENT ON TABLE billing.price_books IS 'One row a currency: the price book in use';
COMMENT ON COLUMN billing.price_books.currency IS 'Customers of this currency are priced by this book';
COMMENT ON COLUMN billing.price_books.name IS 'Name in the file';
COMMENT ON COLUMN billing.price_books.content_sha256 IS 'Digest of the file that it was loaded from';
COMMENT ON COLUMN billing.price_books.loaded_at IS 'When this content was loaded';
COMMENT ON COLUMN billing.price_books.run_id IS 'Dagster run that loaded it; null: a person did';

CREATE TABLE billing.meters (
    currency billing.currency_code NOT NULL REFERENCES billing.price_books (currency),
    meter billing.platform_key NOT NULL,
    aggregation text NOT NULL
    CHECK (aggregation IN ('constant', 'sum', 'count', 'unique', 'last', 'max', 'time_weighted')),
    dimensions text[] NOT NULL,
    unit text,
    property text CHECK (property ~ '\S'),
    events text NOT NULL DEFAULT 'levels' CHECK (events IN ('levels', 'deltas')),
    PRIMARY KEY (currency, meter),
    CHECK ((aggregation = 'unique') = (property IS NOT NULL)),
    CHECK (events = 'levels' OR aggregation IN ('last', 'max', 'time_weighted'))
);
COMMENT ON TABLE billing.meters IS 'One row a meter of a price book: how its events become a quantity';
COMMENT ON COLUMN billing.meters.currency IS 'The book';
COMMENT ON COLUMN billing.meters.meter IS 'Name, as in usage_events';
COMMENT ON COLUMN billing.meters.aggregation IS 'constant, sum, count, unique, last, max or time_weighted';
COMMENT ON COLUMN billing.meters.dimensions IS 'Names that every event of the meter must carry, no more and no less; sorted';
COMMENT ON COLUMN billing.meters.unit IS 'What one of it is called';
COMMENT ON COLUMN billing.meters.property IS 'Property of the events whose distinct values unique counts; null for the other aggregations';
COMMENT ON COLUMN billing.meters.events IS 'What an event of a level says: the new level, or by how much it changes; levels for what is no level';

CREATE TABLE billing.price_versions (
    currency billing.currency_code NOT NULL REFERENCES billing.price_books (currency),
    version_id text NOT NULL CHECK (version_id <> ''),
    effective_from date NOT NULL CHECK (isfinite(effective_from)),
    PRIMARY KEY (currency, version_id),
    UNIQUE (currency, effective_from)
);
COMMENT ON TABLE billing.price_versions IS 'One row a version of a price book; in force until the next one starts, so versions cannot overlap';
COMMENT ON COLUMN billing.price_versions.currency IS 'The book';
COMMENT ON COLUMN billing.price_versions.version_id IS 'Name in the file';
COMMENT ON COLUMN billing.price_versions.effective_from IS 'Prices every period that starts on this day or later, in the customer''s time zone';

CREATE TABLE billing.retired_prices (
    currency billing.currency_code NOT NULL,
    version_id text NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL CHECK (jsonb_typeof(dimensions) = 'object'),
    PRIMARY KEY (currency, version_id, meter, dimensions),
    FOREIGN KEY (currency, version_id) REFERENCES billing.price_versions (currency, version_id) ON DELETE CASCADE
);
COMMENT ON TABLE billing.retired_prices IS 'One row a meter or rate that a version of the book retires: from it on, usage without a price is no mistake';
COMMENT ON COLUMN billing.retired_prices.currency IS 'The book';
COMMENT ON COLUMN billing.retired_prices.version_id IS 'First version without a price for it';
COMMENT ON COLUMN billing.retired_prices.meter IS 'The meter';
COMMENT ON COLUMN billing.retired_prices.dimensions IS 'The rate''s dimension values; {} for the whole meter';

CREATE TABLE billing.plan_trials (
    currency billing.currency_code NOT NULL,
    version_id text NOT NULL,
    plan text NOT NULL CHECK (plan ~ '\S'),
    days integer NOT NULL CHECK (days BETWEEN 1 AND 3660),
    PRIMARY KEY (currency, version_id, plan),
    FOREIGN KEY (currency, version_id) REFERENCES billing.price_versions (currency, version_id) ON DELETE CASCADE
);
COMMENT ON TABLE billing.plan_trials IS 'One row a plan with a trial: a contract that starts on the plan, in the version in force on its first day, begins with so many days of trial';
COMMENT ON COLUMN billing.plan_trials.currency IS 'The book';
COMMENT ON COLUMN billing.plan_trials.version_id IS 'The version';
COMMENT ON COLUMN billing.plan_trials.plan IS 'The plan';
COMMENT ON COLUMN billing.plan_trials.days IS 'Days, counted from the contract''s first one';

CREATE TABLE billing.book_notices_off (
    currency billing.currency_code NOT NULL,
    version_id text NOT NULL,
    kind text NOT NULL CHECK (billing.may_be_switched_off(kind)),
    PRIMARY KEY (currency, version_id, kind),
    FOREIGN KEY (currency, version_id) REFERENCES billing.price_versions (currency, version_id) ON DELETE CASCADE
);
COMMENT ON TABLE billing.book_notices_off IS 'One row a kind of notices that no customer of a price book is mailed while the version is in force';
COMMENT ON COLUMN billing.book_notices_off.currency IS 'The book';
COMMENT ON COLUMN billing.book_notices_off.version_id IS 'The version';
COMMENT ON COLUMN billing.book_notices_off.kind IS 'A kind that nobody has to be told by law';

CREATE TABLE billing.prices (
    price_id uuid PRIMARY KEY,
    book text NOT NULL,
    currency billing.currency_code NOT NULL,
    version_id text NOT NULL,
    effective_from date NOT NULL,
    customer_id billing.platform_key,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL CHECK (jsonb_typeof(dimensions) = 'object'),
    model text NOT NULL CHECK (model IN ('flat', 'per_unit', 'graduated', 'volume', 'package')),
    tier_no integer NOT NULL CHECK (tier_no >= 0),
    tier_from billing.exact_decimal NOT NULL CHECK (tier_from >= 0),
    tier_up_to billing.exact_decimal CHECK (tier_up_to > tier_from),
    unit_amount billing.exact_decimal NOT NULL CHECK (unit_amount >= 0),
    package_size billing.exact_decimal CHECK (package_size > 0),
    included billing.exact_decimal NOT NULL CHECK (included >= 0),
    minimum billing.exact_decimal CHECK (minimum >= 0),
    description text,
    position integer NOT NULL,
    retired_at timestamptz,
    prorate text CHECK (prorate IN ('days', 'none')),
    plan text CHECK (plan ~ '\S'),
    lines text CHECK (lines = 'merged'),
    scope text CHECK (scope IN ('combination', 'meter')),
    pool text CHECK (pool ~ '\S'),
    maximum billing.exact_decimal CHECK (maximum >= 0),
    flat_amount billing.exact_decimal CHECK (flat_amount >= 0),
    CHECK (maximum >= minimum),
    CHECK (flat_amount IS NULL OR model IN ('graduated', 'volume')),
    CHECK (plan IS NULL OR customer_id IS NULL),
    CHECK ((model = 'package') = (package_size IS NOT NULL)),
    CHECK (model IN ('graduated', 'volume') OR (tier_no = 0 AND tier_from = 0 AND tier_up_to IS NULL))
);
CREATE UNIQUE INDEX prices_one_in_use ON billing.prices
(currency, version_id, customer_id, plan, meter, dimensions, tier_no) NULLS NOT DISTINCT WHERE retired_at IS NULL;
COMMENT ON TABLE billing.prices IS 'One row a price book version, meter and rate (or tier)';
COMMENT ON COLUMN billing.prices.price_id IS 'Derived from the whole content of the row';
COMMENT ON COLUMN billing.prices.book IS 'Name of the price book';
COMMENT ON COLUMN billing.prices.currency IS 'Currency of unit_amount and minimum, in major units';
COMMENT ON COLUMN billing.prices.version_id IS 'Version of the book';
COMMENT ON COLUMN billing.prices.effective_from IS 'First day that the version prices';
COMMENT ON COLUMN billing.prices.customer_id IS 'The one customer whom this price is for, instead of any other; null for everybody';
COMMENT ON COLUMN billing.prices.meter IS 'Meter that it prices';
COMMENT ON COLUMN billing.prices.dimensions IS 'Dimension values that it prices; {} for any';
COMMENT ON COLUMN billing.prices.model IS 'flat, per_unit, graduated, volume or package';
COMMENT ON COLUMN billing.prices.tier_no IS 'Number of the tier from 0; 0 for models without tiers';
COMMENT ON COLUMN billing.prices.tier_from IS 'The tier prices quantities above this';
COMMENT ON COLUMN billing.prices.tier_up_to IS 'and up to this, inclusive; null: without end';
COMMENT ON COLUMN billing.prices.unit_amount IS 'Rate for one unit, for one package, or the flat amount';
COMMENT ON COLUMN billing.prices.package_size IS 'Units in a package';
COMMENT ON COLUMN billing.prices.included IS 'Allowance: units that cost nothing';
COMMENT ON COLUMN billing.prices.minimum IS 'Least amount of the meter on an invoice, once it was used';
COMMENT ON COLUMN billing.prices.description IS 'Text of the line; dimension values fill the braces';
COMMENT ON COLUMN billing.prices.position IS 'Place on the invoice';
COMMENT ON COLUMN billing.prices.prorate IS 'none: a constant meter costs the whole amount in a short period too; null or days: its share by days';
COMMENT ON COLUMN billing.prices.plan IS 'The plan that this price belongs to; null: of no plan';
COMMENT ON COLUMN billing.prices.lines IS 'merged: what an invoice has of the meter at one unit price is one line, of no dimensions; null: a line for each combination of dimensions';
COMMENT ON COLUMN billing.prices.scope IS 'meter: allowance, tiers and packages are counted across all combinations of dimensions; combination: minimum and maximum are of each; null: the other way round for both';
COMMENT ON COLUMN billing.prices.pool IS 'The allowance is one for all prices of the same owner that name this pool; null: of this price alone';
COMMENT ON COLUMN billing.prices.maximum IS 'Most that the meter costs on an invoice; null: without end';
COMMENT ON COLUMN billing.prices.flat_amount IS 'What reaching the tier costs, once, beside its units';
COMMENT ON COLUMN billing.prices.retired_at IS 'When the file stopped holding this row; null while in use';
CREATE TRIGGER prices_only_retire BEFORE UPDATE ON billing.prices
FOR EACH ROW EXECUTE FUNCTION billing.only_retire_prices();
CREATE TRIGGER prices_keep BEFORE DELETE OR TRUNCATE ON billing.prices
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('prices are retired, not deleted');

-- Terms stand beside the prices: of a book, loaded with it and retired as prices are; or granted by hand, without a version.
CREATE TABLE billing.terms (
    term_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('commitment', 'discount')),
    name billing.platform_key NOT NULL,
    currency billing.currency_code NOT NULL,
    version_id text CHECK (version_id <> ''),
    effective_from date NOT NULL CHECK (isfinite(effective_from)),
    until_on date CHECK (until_on >= effective_from - 1),
    customer_id billing.platform_key,
    plan text CHECK (plan ~ '\S'),
    meters text[] CHECK (cardinality(meters) > 0),
    amount billing.exact_decimal CHECK (amount >= 0),
    percent billing.exact_decimal CHECK (percent > 0 AND percent <= 100),
    prorate text CHECK (prorate IN ('days', 'none')),
    description text CHECK (description ~ '\S'),
    position bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    UNIQUE (term_id, kind),
    CONSTRAINT terms_of_a_customer_or_a_plan CHECK (customer_id IS NULL OR plan IS NULL),
    CONSTRAINT terms_by_amount_or_percent CHECK (
        (amount IS NULL) <> (percent IS NULL) AND (kind = 'discount' OR amount IS NOT NULL)
    ),
    CONSTRAINT terms_are_granted_to_a_customer CHECK (version_id IS NOT NULL OR customer_id IS NOT NULL)
);
COMMENT ON TABLE billing.terms IS 'One row a commitment or discount: of a version of a price book, or granted to a customer';
COMMENT ON COLUMN billing.terms.term_id IS 'Derived from the whole content of the row; of one that was granted, from who asked for what';
COMMENT ON COLUMN billing.terms.kind IS 'commitment: a minimum over its meters; discount: an amount or a share off them';
COMMENT ON COLUMN billing.terms.name IS 'Name in the file, or the coupon; a customer''s term takes the place of a plan''s, and that of everybody''s, of the same name';
COMMENT ON COLUMN billing.terms.currency IS 'Currency of the amount, and of the invoices that it holds for';
COMMENT ON COLUMN billing.terms.version_id IS 'Version of the book; null: granted by hand';
COMMENT ON COLUMN billing.terms.effective_from IS 'First day: periods that start from it, in the customer''s time zone';
COMMENT ON COLUMN billing.terms.until_on IS 'Last day on which a period may start; null: without end. Of what was granted it may come earlier, never later';
COMMENT ON COLUMN billing.terms.customer_id IS 'The one customer whom it is for; null: a plan''s, or everybody''s';
COMMENT ON COLUMN billing.terms.plan IS 'The plan whose periods it is for; null: a customer''s, or everybody''s';
COMMENT ON COLUMN billing.terms.meters IS 'Meters that it looks at; null: the whole invoice';
COMMENT ON COLUMN billing.terms.amount IS 'In major units, for a full period';
COMMENT ON COLUMN billing.terms.percent IS 'Share of what its meters come to, in percent';
COMMENT ON COLUMN billing.terms.prorate IS 'none: the whole amount in a short period too; null or days: its share by days';
COMMENT ON COLUMN billing.terms.description IS 'Text of the line, before what it was computed from';
COMMENT ON COLUMN billing.terms.position IS 'Place among the terms of its origin: they are applied in this order';
COMMENT ON COLUMN billing.terms.loaded_at IS 'Since when it is in use';
COMMENT ON COLUMN billing.terms.retired_at IS 'When the file stopped holding this row; null while in use';
CREATE TRIGGER terms_only_retire BEFORE UPDATE ON billing.terms
FOR EACH ROW EXECUTE FUNCTION billing.only_retire_terms();
CREATE TRIGGER terms_keep BEFORE DELETE OR TRUNCATE ON billing.terms
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('terms are retired, not deleted');
