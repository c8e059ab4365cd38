-- Cases of dunning open and close with their charge, and where a customer stands follows from its cases.

CREATE OR REPLACE FUNCTION billing.open_dunning_case(invoice uuid, refused_at timestamptz) RETURNS void
LANGUAGE sql AS $$
INSERT INTO billing.dunning_cases (invoice_id, customer_id, track, begins_at)
SELECT i.invoice_id, i.customer_id,
    CASE WHEN c.payment_terms_days IS NULL THEN 'after_refusal' ELSE 'after_due_date' END,
    coalesce(
        ((i.finalised_at AT TIME ZONE c.timezone)::date + c.payment_terms_days)::timestamp AT TIME ZONE c.timezone,
        refused_at
    )
FROM billing.invoices AS i JOIN billing.customers AS c USING (customer_id)
WHERE i.invoice_id = invoice
ON CONFLICT (invoice_id) DO NOTHING;
$$;
COMMENT ON FUNCTION billing.open_dunning_case IS 'Counts an unpaid invoice from its first refusal, or from the due date of a customer with payment terms';

CREATE OR REPLACE FUNCTION billing.follow_dunning() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.state = 'refused' THEN
        PERFORM billing.open_dunning_case(new.invoice_id, new.updated_at);
    ELSE
        UPDATE billing.dunning_cases
        SET closed_at = coalesce(closed_at, clock_timestamp()), outcome = new.state
        WHERE invoice_id = new.invoice_id;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.follow_dunning IS 'Trigger: a case opens with the first refusal and closes in the very transaction that pays, voids or writes off its invoice';

CREATE OR REPLACE FUNCTION billing.check_dunning_case() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    levels text[] := '{none,past_due,in_grace,suspended}';
BEGIN
    IF (new.invoice_id, new.customer_id, new.track, new.begins_at, new.opened_at)
        IS DISTINCT FROM (old.invoice_id, old.customer_id, old.track, old.begins_at, old.opened_at)
    THEN
        RAISE EXCEPTION 'case %: what it counts from does not change', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.level <> old.level AND (
        new.outcome IS NOT NULL OR array_position(levels, new.level) < array_position(levels, old.level)
        OR NOT EXISTS (SELECT FROM billing.stripe_charges AS c WHERE c.invoice_id = new.invoice_id AND c.state = 'refused')
    ) THEN
        RAISE EXCEPTION 'case %: the level rises while the payment is refused, and not otherwise', old.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.outcome IS DISTINCT FROM old.outcome AND NOT EXISTS (
        SELECT FROM billing.stripe_charges AS c WHERE c.invoice_id = new.invoice_id AND c.state = new.outcome
    ) THEN
        RAISE EXCEPTION 'case %: it ends as its charge did', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_dunning_case IS 'Trigger: a case rises only while its charge is refused, and ends as its charge does';

CREATE OR REPLACE FUNCTION billing.standing_of(customer text, state_before text) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT CASE max(array_position('{past_due,in_grace,suspended}'::text [], d.level))
    WHEN 3 THEN 'suspended'
    WHEN 2 THEN 'in_grace'
    WHEN 1 THEN 'past_due'
    ELSE CASE WHEN state_before IN ('suspended', 'resumed') THEN 'resumed' ELSE 'current' END
END
FROM billing.dunning_cases AS d
WHERE d.customer_id = customer AND (d.closed_at IS NULL OR d.outcome = 'uncollectible')
$$;
COMMENT ON FUNCTION billing.standing_of IS 'Where a customer stands by its worst case; what was written off was not paid';

CREATE OR REPLACE FUNCTION billing.check_standing() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.state <> 'current' THEN
            RAISE EXCEPTION 'customer % begins as current', new.customer_id USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN new;
    END IF;
    IF new.customer_id <> old.customer_id OR new.state <> billing.standing_of(new.customer_id, old.state) THEN
        RAISE EXCEPTION 'customer %: where it stands follows from its cases', old.customer_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_standing IS 'Trigger: nobody is suspended, or not, but by the cases of its invoices';

CREATE OR REPLACE FUNCTION billing.settle_standing() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    before text;
    after text;
    change bigint;
BEGIN
    -- the row is the lock: of two cases that change at once the second sees the first
    INSERT INTO billing.customer_standings (customer_id) VALUES (new.customer_id) ON CONFLICT (customer_id) DO NOTHING;
    SELECT s.state INTO before FROM billing.customer_standings AS s WHERE s.customer_id = new.customer_id FOR UPDATE;
    after := billing.standing_of(new.customer_id, before);
    IF after = before THEN
        RETURN NULL;
    END IF;
    UPDATE billing.customer_standings SET state = after, since = clock_timestamp() WHERE customer_id = new.customer_id;
    INSERT INTO billing.standing_history (customer_id, state_before, state, invoice_id)
    VALUES (new.customer_id, before, after, new.invoice_id) RETURNING change_id INTO change;
    IF after = 'suspended' THEN
        PERFORM billing.write_notice(
            'service_suspended', new.customer_id, new.invoice_id, change::text, billing.invoice_facts(new.invoice_id)
        );
    ELSIF before = 'suspended' THEN
        PERFORM billing.write_notice('service_resumed', new.customer_id, NULL, change::text, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.settle_standing IS 'Trigger: where the customer stands now, with its history, and a notice of a suspension or a resumption';

CREATE OR REPLACE FUNCTION billing.tell_of_dunning_step() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        new.kind, d.customer_id, new.invoice_id, new.invoice_id || ':' || new.ordinal,
        billing.invoice_facts(new.invoice_id) || new.facts
    )
    FROM billing.dunning_cases AS d WHERE d.invoice_id = new.invoice_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_dunning_step IS 'Trigger: a step that is a mail is a notice';

-- Whoever pays updates the case too, by the trigger above: the one waits for the other, and sees it.
CREATE OR REPLACE FUNCTION billing.take_dunning_step(
    invoice uuid,
    ordinal integer,
    day integer,
    action text,
    kind text,
    done_at timestamptz,
    policy text,
    course text,
    run_id text,
    facts jsonb
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    closed timestamptz;
    reached text;
    levels text[] := '{none,past_due,in_grace,suspended}';
BEGIN
    SELECT d.closed_at INTO closed FROM billing.dunning_cases AS d WHERE d.invoice_id = invoice FOR UPDATE;
    IF closed IS NOT NULL OR NOT EXISTS (
        SELECT FROM billing.stripe_charges AS c WHERE c.invoice_id = invoice AND c.state = 'refused'
    ) OR ordinal <> 1 + (SELECT count(*) FROM billing.dunning_steps AS t WHERE t.invoice_id = invoice) THEN
        RETURN FALSE;
    END IF;
    INSERT INTO billing.dunning_steps (invoice_id, ordinal, day, action, kind, done_at, policy, course, run_id, facts)
    VALUES (
        invoice, take_dunning_step.ordinal, take_dunning_step.day, take_dunning_step.action, take_dunning_step.kind,
        take_dunning_step.done_at, take_dunning_step.policy, take_dunning_step.course, take_dunning_step.run_id,
        take_dunning_step.facts
    );
    reached := CASE take_dunning_step.action
        WHEN 'past_due' THEN 'past_due' WHEN 'grace' THEN 'in_grace' WHEN 'suspend' THEN 'suspended'
    END;
    UPDATE billing.dunning_cases AS d SET level = reached
    WHERE d.invoice_id = invoice AND array_position(levels, reached) > array_position(levels, d.level);
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION billing.take_dunning_step IS 'Takes the next step if the payment is still refused and no other was taken since it was planned, and says whether it did: nobody is suspended who paid the moment before';
