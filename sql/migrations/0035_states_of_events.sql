-- How many of Stripe's events are in which state, without a look at each: of a million in a quarter of the time.

CREATE INDEX stripe_event_work_state ON billing.stripe_event_work (state);
