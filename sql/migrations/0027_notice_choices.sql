-- What a customer wants to be told, where and when: further addresses, kinds that are switched off, hours of its own,
-- addresses that bounced.
-- Kinds that are due by law or contract are not switched off by anybody.

CREATE TABLE billing.notice_addresses (
    address_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    email text NOT NULL CHECK (email ~ '^\S+@\S+$'),
    kinds text[] CHECK (cardinality(kinds) > 0),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX notice_addresses_one_active ON billing.notice_addresses (customer_id, lower(email))
WHERE released_at IS NULL;
COMMENT ON TABLE billing.notice_addresses IS 'One row an address that is told beside the customer''s own';
COMMENT ON COLUMN billing.notice_addresses.address_id IS 'Order of adding';
COMMENT ON COLUMN billing.notice_addresses.customer_id IS 'Whose notices';
COMMENT ON COLUMN billing.notice_addresses.email IS 'Where they go, too';
COMMENT ON COLUMN billing.notice_addresses.kinds IS 'Which kinds; null: all';
COMMENT ON COLUMN billing.notice_addresses.author IS 'Who added it';
COMMENT ON COLUMN billing.notice_addresses.reason IS 'Why';
COMMENT ON COLUMN billing.notice_addresses.added_at IS 'When';
COMMENT ON COLUMN billing.notice_addresses.released_at IS 'When it was removed; null while it is told';
COMMENT ON COLUMN billing.notice_addresses.released_by IS 'Who removed it';
COMMENT ON COLUMN billing.notice_addresses.release_reason IS 'Why';
CREATE TRIGGER notice_addresses_change BEFORE UPDATE ON billing.notice_addresses
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_choice();
CREATE TRIGGER notice_addresses_keep BEFORE DELETE OR TRUNCATE ON billing.notice_addresses
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('addresses are removed by a date, not deleted');

CREATE TABLE billing.notices_off (
    off_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (billing.may_be_switched_off(kind)),
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    email text CHECK (email ~ '^\S+@\S+$'),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    switched_off_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (email IS NULL OR customer_id IS NOT NULL),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX notices_off_one_active ON billing.notices_off (kind, customer_id, lower(email))
NULLS NOT DISTINCT WHERE released_at IS NULL;
COMMENT ON TABLE billing.notices_off IS 'One row a kind that is not mailed any more: to nobody, to a customer, or to one of its addresses';
COMMENT ON COLUMN billing.notices_off.off_id IS 'Order of switching off';
COMMENT ON COLUMN billing.notices_off.kind IS 'A kind that nobody has to be told by law';
COMMENT ON COLUMN billing.notices_off.customer_id IS 'Whose; null: everybody''s';
COMMENT ON COLUMN billing.notices_off.email IS 'Only of this address, which unsubscribed; null: of all';
COMMENT ON COLUMN billing.notices_off.author IS 'Who switched it off; the address itself, if it unsubscribed';
COMMENT ON COLUMN billing.notices_off.reason IS 'Why';
COMMENT ON COLUMN billing.notices_off.switched_off_at IS 'When';
COMMENT ON COLUMN billing.notices_off.released_at IS 'When it was switched on again; null while it is off';
COMMENT ON COLUMN billing.notices_off.released_by IS 'Who switched it on';
COMMENT ON COLUMN billing.notices_off.release_reason IS 'Why';
CREATE TRIGGER notices_off_change BEFORE UPDATE ON billing.notices_off
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_choice();
CREATE TRIGGER notices_off_keep BEFORE DELETE OR TRUNCATE ON billing.notices_off
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what was switched off is switched on, not deleted');

CREATE TABLE billing.notice_hours (
    hours_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    email text CHECK (email ~ '^\S+@\S+$'),
    begins time NOT NULL,
    ends time NOT NULL,
    on_weekends boolean NOT NULL,
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    chosen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (ends - begins >= interval '1 hour'),
    CHECK (email IS NULL OR customer_id IS NOT NULL),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX notice_hours_one_active ON billing.notice_hours (customer_id, lower(email))
NULLS NOT DISTINCT WHERE released_at IS NULL;
COMMENT ON TABLE billing.notice_hours IS 'One row the hours in which mails come that can wait: everybody''s, a customer''s, or those of one of its addresses; the nearest row holds';
COMMENT ON COLUMN billing.notice_hours.hours_id IS 'Order of choosing';
COMMENT ON COLUMN billing.notice_hours.customer_id IS 'Whose; null: everybody''s';
COMMENT ON COLUMN billing.notice_hours.email IS 'Only of this address; null: of all';
COMMENT ON COLUMN billing.notice_hours.begins IS 'Not before, in the customer''s time zone';
COMMENT ON COLUMN billing.notice_hours.ends IS 'Before this, in the customer''s time zone';
COMMENT ON COLUMN billing.notice_hours.on_weekends IS 'Also on Saturdays and Sundays';
COMMENT ON COLUMN billing.notice_hours.author IS 'Who chose them';
COMMENT ON COLUMN billing.notice_hours.reason IS 'Why';
COMMENT ON COLUMN billing.notice_hours.chosen_at IS 'When';
COMMENT ON COLUMN billing.notice_hours.released_at IS 'When they were given up; null while they hold';
COMMENT ON COLUMN billing.notice_hours.released_by IS 'Who gave them up';
COMMENT ON COLUMN billing.notice_hours.release_reason IS 'Why';
CREATE TRIGGER notice_hours_change BEFORE UPDATE ON billing.notice_hours
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_choice();
CREATE TRIGGER notice_hours_keep BEFORE DELETE OR TRUNCATE ON billing.notice_hours
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('hours are given up by a date, not deleted');

CREATE TABLE billing.bounced_addresses (
    bounce_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CHECK (email ~ '^\S+@\S+$'),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    bounced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX bounced_addresses_one_active ON billing.bounced_addresses (lower(email)) WHERE released_at IS NULL;
COMMENT ON TABLE billing.bounced_addresses IS 'One row an address from which mails came back, or which complained: nothing is mailed to it any more';
COMMENT ON COLUMN billing.bounced_addresses.bounce_id IS 'Order of coming back';
COMMENT ON COLUMN billing.bounced_addresses.email IS 'The address';
COMMENT ON COLUMN billing.bounced_addresses.author IS 'Who noted it';
COMMENT ON COLUMN billing.bounced_addresses.reason IS 'What the other server said';
COMMENT ON COLUMN billing.bounced_addresses.bounced_at IS 'When it was noted';
COMMENT ON COLUMN billing.bounced_addresses.released_at IS 'When mails went to it again; null while they do not';
COMMENT ON COLUMN billing.bounced_addresses.released_by IS 'Who said so';
COMMENT ON COLUMN billing.bounced_addresses.release_reason IS 'Why';
CREATE TRIGGER bounced_addresses_change BEFORE UPDATE ON billing.bounced_addresses
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_choice();
CREATE TRIGGER bounced_addresses_keep BEFORE DELETE OR TRUNCATE ON billing.bounced_addresses
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what came back is kept');
