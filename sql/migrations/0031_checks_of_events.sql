-- What texts of Stripe's events are: the same as before, without counting in the regular expression, which took 0.06 ms
-- for each of four texts of every event.

ALTER TABLE billing.stripe_events
DROP CONSTRAINT stripe_events_event_id_check,
DROP CONSTRAINT stripe_events_type_check,
DROP CONSTRAINT stripe_events_object_id_check,
DROP CONSTRAINT stripe_events_account_check,
DROP CONSTRAINT stripe_events_api_version_check,
DROP CONSTRAINT stripe_events_key_id_check,
ADD CONSTRAINT stripe_events_event_id_check CHECK (event_id ~ '^[!-~]+$' AND length(event_id) <= 255),
ADD CONSTRAINT stripe_events_type_check CHECK (type ~ '^[!-~]+$' AND length(type) <= 255),
ADD CONSTRAINT stripe_events_object_id_check CHECK (object_id ~ '^[!-~]+$' AND length(object_id) <= 255),
ADD CONSTRAINT stripe_events_account_check CHECK (account ~ '^[!-~]+$' AND length(account) <= 255),
ADD CONSTRAINT stripe_events_api_version_check CHECK (api_version ~ '^[!-~]+$' AND length(api_version) <= 255),
ADD CONSTRAINT stripe_events_key_id_check CHECK (key_id ~ '^[!-~]+$' AND length(key_id) <= 64);
