-- Who is told of what. Each function is the trigger of a fact and runs in its transaction.

CREATE OR REPLACE FUNCTION billing.notice_recipients(customer text, kind text) RETURNS TABLE (channel text, recipient text)
LANGUAGE sql STABLE AS $$
SELECT 'mail', m.email
FROM (
    SELECT c.email FROM billing.customers AS c WHERE c.customer_id = customer
    UNION
    SELECT a.email FROM billing.notice_addresses AS a
    WHERE a.customer_id = customer AND a.released_at IS NULL
        AND (a.kinds IS NULL OR notice_recipients.kind = ANY(a.kinds))
) AS m
WHERE billing.is_mailed(notice_recipients.kind, customer, m.email)
UNION ALL
SELECT 'webhook', e.endpoint_id FROM billing.webhook_endpoints AS e WHERE e.disabled_at IS NULL
$$;
COMMENT ON FUNCTION billing.notice_recipients IS 'Where a kind of notices of a customer goes: by mail to the customer and its further addresses, unless it is switched off, and to every endpoint of the platform';

CREATE OR REPLACE FUNCTION billing.write_notice(kind text, customer text, invoice uuid, fact_key text, facts jsonb) RETURNS void
LANGUAGE sql AS $$
INSERT INTO billing.notices (kind, customer_id, invoice_id, fact, channel, recipient, facts)
SELECT write_notice.kind, customer, invoice, write_notice.kind || ':' || fact_key, r.channel, r.recipient, write_notice.facts
FROM billing.notice_recipients(customer, write_notice.kind) AS r
ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING;
$$;
COMMENT ON FUNCTION billing.write_notice IS 'Tells every recipient of a customer of a fact, once';

CREATE OR REPLACE FUNCTION billing.invoice_facts(invoice uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
SELECT jsonb_build_object(
    'number', i.number, 'amount_minor', i.total_minor, 'credits_minor', i.credits_minor,
    'due_minor', i.due_minor - (
        SELECT coalesce(sum(n.reduction_minor), 0) FROM billing.credit_notes AS n
        WHERE n.invoice_id = i.invoice_id AND n.state = 'issued'
    ),
    'currency', i.currency,
    'first_day', p.start_date, 'last_day', p.end_date - 1,
    'due_on', (i.finalised_at AT TIME ZONE c.timezone)::date + c.payment_terms_days
)
FROM billing.invoices AS i
JOIN billing.billing_periods AS p USING (period_id)
JOIN billing.customers AS c ON c.customer_id = i.customer_id
WHERE i.invoice_id = invoice
$$;
COMMENT ON FUNCTION billing.invoice_facts IS 'What a notice says of a final invoice: number, total, what of it is due after prepaid credits and credit notes, the days that it bills, and until when it is to be paid where the customer has payment terms';

CREATE OR REPLACE FUNCTION billing.queue_notices() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.notice_sendings (notice_id) SELECT notice_id FROM new_rows;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.queue_notices IS 'Trigger: what is written is to be sent';

CREATE OR REPLACE FUNCTION billing.check_notice_sending() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.notice_id <> old.notice_id OR new.attempts < old.attempts OR new.doubts < old.doubts THEN
        RAISE EXCEPTION 'notice %: attempts and doubts only rise', old.notice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state IN ('sent', 'overtaken') THEN
        RAISE EXCEPTION 'notice % is % and is not sent again: write another one', old.notice_id, old.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.state <> old.state AND (old.state, new.state) NOT IN (
        ('pending', 'claimed'), ('pending', 'overtaken'), ('failed', 'pending'),
        ('claimed', 'pending'), ('claimed', 'handing_over'), ('claimed', 'overtaken'), ('claimed', 'failed'),
        ('handing_over', 'sent'), ('handing_over', 'pending'), ('handing_over', 'claimed'), ('handing_over', 'failed')
    ) THEN
        RAISE EXCEPTION 'notice %: state does not go from % to %', old.notice_id, old.state, new.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (old.state, new.state) = ('handing_over', 'claimed') AND new.doubts <> old.doubts + 1 THEN
        RAISE EXCEPTION 'notice %: whoever takes over what may have gone out counts a doubt', old.notice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    new.changed_at = clock_timestamp();
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_notice_sending IS 'Trigger: what went out is final, and what may have gone out is never taken up again unnoticed';

CREATE OR REPLACE FUNCTION billing.tell_of_issued_invoices() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.notices (kind, customer_id, invoice_id, fact, channel, recipient, facts)
    SELECT 'invoice_issued', n.customer_id, n.invoice_id, 'invoice_issued:' || n.invoice_id, r.channel, r.recipient,
        billing.invoice_facts(n.invoice_id) || jsonb_strip_nulls(jsonb_build_object('replaces', s.number))
    FROM new_rows AS n
    JOIN billing.invoices AS i USING (invoice_id)
    LEFT JOIN billing.invoices AS s ON s.invoice_id = i.supersedes_invoice_id
    CROSS JOIN LATERAL billing.notice_recipients(n.customer_id, 'invoice_issued') AS r
    ORDER BY i.invoice_number
    ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_issued_invoices IS 'Trigger: whoever has an invoice is told so in the transaction that finalises it';

CREATE OR REPLACE FUNCTION billing.tell_of_charge() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    facts jsonb := billing.invoice_facts(new.invoice_id);
BEGIN
    IF new.state = 'refused' THEN
        PERFORM billing.write_notice(
            CASE new.reason_code
                WHEN 'action_required' THEN 'action_required'
                WHEN 'no_payment_method' THEN 'payment_method_missing'
                ELSE 'payment_failed'
            END,
            new.customer_id, new.invoice_id, new.invoice_id || ':' || new.attempt,
            facts || jsonb_build_object('reason_code', new.reason_code, 'attempt', new.attempt)
        );
    ELSIF new.state = 'void' THEN
        PERFORM billing.write_notice('invoice_voided', new.customer_id, new.invoice_id, new.invoice_id::text, facts);
    ELSIF new.amount_minor > 0 THEN
        PERFORM billing.write_notice('payment_succeeded', new.customer_id, new.invoice_id, new.invoice_id::text, facts);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_charge IS 'Trigger: an invoice that is paid or void, and each refused attempt to collect it; nobody is thanked for 0.00';

CREATE OR REPLACE FUNCTION billing.tell_of_credit_note() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        'credit_note_issued', new.customer_id, new.invoice_id, new.credit_note_id::text,
        billing.invoice_facts(new.invoice_id) || jsonb_build_object(
            'credit_note', new.number, 'credited_minor', new.amount_minor, 'reduction_minor', new.reduction_minor,
            'refund_minor', new.refund_minor, 'balance_minor', new.balance_minor, 'elsewhere_minor', new.elsewhere_minor
        )
    );
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_credit_note IS 'Trigger: a credit note that Stripe has issued';

CREATE OR REPLACE FUNCTION billing.tell_of_refund() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        'refund_succeeded', i.customer_id, i.invoice_id, new.refund_id,
        billing.invoice_facts(i.invoice_id) || jsonb_build_object('refunded_minor', new.amount_minor)
    )
    FROM billing.invoices AS i WHERE i.invoice_id = new.invoice_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_refund IS 'Trigger: a refund that Stripe has carried out';

CREATE OR REPLACE FUNCTION billing.tell_of_failed_refund() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        'refund_failed', i.customer_id, i.invoice_id, new.refund_id,
        billing.invoice_facts(i.invoice_id) || jsonb_build_object('refunded_minor', new.amount_minor)
    )
    FROM billing.invoices AS i WHERE i.invoice_id = new.invoice_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_failed_refund IS 'Trigger: a refund that the customer''s bank sent back';

CREATE OR REPLACE FUNCTION billing.tell_of_contract_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    before record;
BEGIN
    SELECT t.state, t.plan INTO before FROM billing.contract_terms AS t
    WHERE t.customer_id = new.customer_id AND t.withdrawn_at IS NULL AND t.term_id <> new.term_id
        AND (t.effective_on IS NULL OR t.effective_on < new.effective_on)
    ORDER BY t.effective_on DESC NULLS LAST
    LIMIT 1;
    IF FOUND AND (before.state, before.plan) IS DISTINCT FROM (new.state, new.plan) THEN
        PERFORM billing.write_notice(
            'billing_changed', new.customer_id, NULL, new.term_id::text,
            jsonb_build_object(
                'effective_on', new.effective_on, 'state', new.state, 'plan', new.plan,
                'state_before', before.state, 'plan_before', before.plan
            )
        );
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_contract_change IS 'Trigger: another plan, a pause, an end or a resumption of a contract; its first row changes nothing and is not told';

CREATE OR REPLACE FUNCTION billing.tell_of_changed_details() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    facts jsonb := jsonb_build_object(
        'details', to_jsonb(array_remove(ARRAY[
            CASE WHEN new.name <> old.name THEN 'name' END,
            CASE WHEN new.email <> old.email THEN 'email' END,
            CASE WHEN (
                new.address_line1, new.address_line2, new.postal_code, new.city, new.state, new.country
            ) IS DISTINCT FROM (
                old.address_line1, old.address_line2, old.postal_code, old.city, old.state, old.country
            ) THEN 'address' END,
            CASE WHEN new.tax_id IS DISTINCT FROM old.tax_id THEN 'tax_id' END
        ], NULL))
    );
    change text := concat_ws(':', new.customer_id, extract(EPOCH FROM new.imported_at));
BEGIN
    PERFORM billing.write_notice('details_changed', new.customer_id, NULL, change, facts);
    -- whoever changed the address is not the only one who hears of it, and has no say in that
    IF new.email <> old.email THEN
        INSERT INTO billing.notices (kind, customer_id, fact, channel, recipient, facts)
        VALUES ('details_changed', new.customer_id, 'details_changed:' || change, 'mail', old.email, facts)
        ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_changed_details IS 'Trigger: another name, mail address, address or tax number of a customer; another mail address is told to the one before, too';

CREATE OR REPLACE FUNCTION billing.tell_of_low_credits() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        'credits_low', g.customer_id, NULL, g.newest || ':' || g.currency,
        jsonb_build_object('balance_minor', g.balance_minor, 'granted_minor', g.granted_minor, 'currency', g.currency)
    )
    FROM (
        SELECT c.customer_id, c.currency, sum(c.balance_minor)::bigint AS balance_minor,
            -- grants that were used up before do not count: what is left is compared with what there was
            sum(c.amount_minor) FILTER (WHERE c.balance_minor > 0 OR d.grant_id IS NOT NULL)::bigint AS granted_minor,
            (array_agg(c.grant_id ORDER BY c.granted_at DESC, c.grant_id))[1]::text AS newest
        FROM billing.credit_grants AS c
        LEFT JOIN billing.credit_entries AS d
            ON d.grant_id = c.grant_id AND d.invoice_id = new.invoice_id AND d.kind = 'draw'
        WHERE c.customer_id = new.customer_id AND c.currency = new.currency
        GROUP BY c.customer_id, c.currency
    ) AS g
    WHERE g.balance_minor * 5 <= g.granted_minor;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_low_credits IS 'Trigger at commit: an invoice drew prepaid credits down to a fifth or less; once until something is granted again';

CREATE OR REPLACE FUNCTION billing.tell_of_expiring_credits(at timestamptz, within_days integer) RETURNS void
LANGUAGE sql AS $$
SELECT billing.write_notice(
    'credits_expiring', g.customer_id, NULL, g.grant_id::text,
    jsonb_build_object('balance_minor', g.balance_minor, 'currency', g.currency, 'expires_on', g.expires_on)
)
FROM billing.credit_grants AS g JOIN billing.customers AS c USING (customer_id)
WHERE g.balance_minor > 0
    AND g.expires_on - (at AT TIME ZONE c.timezone)::date BETWEEN 0 AND within_days
    AND NOT EXISTS (SELECT FROM billing.notices AS n WHERE n.fact = 'credits_expiring:' || g.grant_id)
$$;
COMMENT ON FUNCTION billing.tell_of_expiring_credits IS 'Tells of grants with something left whose last day is so near, each once';

CREATE OR REPLACE FUNCTION billing.tell_of_unusual_usage() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.write_notice(
        'usage_unusual', c.customer_id, NULL, concat_ws(':', c.customer_id, new.meter, h.begins::date),
        jsonb_build_object(
            'meter', new.meter,
            'unit', (SELECT m.unit FROM billing.meters AS m WHERE m.currency = c.currency AND m.meter = new.meter),
            'used_on', h.begins::date,
            'hour_from', to_char(h.begins, 'HH24:MI'), 'hour_to', to_char(h.begins + interval '1 hour', 'HH24:MI'),
            'quantity', trim_scale(new.quantity)::text,
            'usual_quantity', trim_scale(round(new.usual_quantity::numeric, 2))::text
        )
    )
    FROM billing.customers AS c
    CROSS JOIN LATERAL (SELECT new.hour AT TIME ZONE c.timezone AS begins) AS h
    WHERE c.customer_id = new.customer_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.tell_of_unusual_usage IS 'Trigger: a customer used far more of a meter than usual; once a meter and day in the customer''s zone. That it used less is for operators';

CREATE OR REPLACE FUNCTION billing.awaits_page(
    kind text, channel text, invoice uuid, since timestamptz, at timestamptz, wait interval
) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT kind = 'invoice_issued' AND channel = 'mail' AND wait > interval '0' AND since > at - wait
    AND EXISTS (
        SELECT FROM billing.stripe_charges AS c
        WHERE c.invoice_id = invoice AND c.state IN ('intended', 'drafted', 'lines_added')
    )
$$;
COMMENT ON FUNCTION billing.awaits_page IS 'Whether the mail of an invoice waits a while for its page at Stripe, which comes when it is charged';

CREATE OR REPLACE FUNCTION billing.held_notice(notice bigint, customer text, kind text) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT h.reason FROM billing.notice_holds AS h
WHERE h.released_at IS NULL
    -- a hold on all is on what customers are told
    AND (customer IS NOT NULL OR h.notice_id IS NOT NULL)
    AND (h.notice_id IS NULL OR h.notice_id = notice)
    AND (h.customer_id IS NULL OR h.customer_id = customer)
    AND (h.kind IS NULL OR h.kind = held_notice.kind)
ORDER BY h.hold_id
LIMIT 1
$$;
COMMENT ON FUNCTION billing.held_notice IS 'Why a notice waits; null: nobody holds it';

CREATE OR REPLACE FUNCTION billing.payment_method_name(method billing.stripe_payment_methods) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT concat_ws(' ', initcap(replace(coalesce(method.brand, method.type), '_', ' ')), '•••• ' || method.last4)
$$;
COMMENT ON FUNCTION billing.payment_method_name IS 'A payment method as its owner knows it: Visa •••• 4242, Sepa Debit';
