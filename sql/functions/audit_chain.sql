-- The audit chain: what changed is noted with the change, sealed in order later, and held against the rows.
-- Whoever fires no triggers, or is the owner and switches them off, leaves rows that their entries do not fit.

CREATE OR REPLACE FUNCTION billing.tables_without_entries() RETURNS TABLE (table_name text, reason text)
LANGUAGE sql IMMUTABLE AS $$
VALUES
('audit_entries', 'the chain itself: each seal is over the one before'),
('usage_events', 'noted import by import, when the chain is sealed'),
('usage_series', 'computed again from usage_events'),
('usage_delta_levels', 'computed again from usage_events'),
('usage_snapshots', 'sealed with their invoice; built again until then'),
('invoice_line_items', 'sealed with their invoice; built again until then'),
('invoice_adjustments', 'sealed with their invoice; built again until then'),
('billing_drift', 'built again by every run; nothing is billed from it'),
('asset_months', 'which rows a gate looked at; nothing is billed from it'),
('customer_builds', 'until when the rows of drafts were read; gone when they are built again'),
('gate_results', 'written again by every run before it finalises'),
('draft_times', 'when a draft may become final; gone with the draft'),
('month_figures', 'counted again by the verification'),
('stored_measures', 'worked out again from the views, daily'),
('stored_measure_rows', 'worked out again from the views, daily'),
('charge_follow_ups', 'a queue; Stripe is asked before anything follows'),
('notice_sendings', 'a queue; what customers are told has entries, and no money follows from it'),
('stripe_event_work', 'a queue; what was not applied is a difference to Stripe''s books, and no month closes with one')
$$;
COMMENT ON FUNCTION billing.tables_without_entries IS 'Tables whose rows have no entries of their own in the audit chain, and what holds there instead. Every other table is audited';

CREATE OR REPLACE FUNCTION billing.row_digest(content jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(jsonb_strip_nulls(content)::text, 'UTF8'));
COMMENT ON FUNCTION billing.row_digest IS 'SHA-256 of a row as JSON, its time stamps in UTC. Nulls are left out, so that a column that is added later leaves digests as they are';

CREATE OR REPLACE FUNCTION billing.row_key(content jsonb, columns text[]) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    nullif(concat_ws(
        chr(31), content ->> columns[1], content ->> columns[2], content ->> columns[3], content ->> columns[4],
        content ->> columns[5]
    ), ''),
    encode(billing.row_digest(content), 'hex')
);
COMMENT ON FUNCTION billing.row_key IS 'The values of the columns, at most five, in one text; of a table without a primary key the row''s own digest';

CREATE OR REPLACE FUNCTION billing.is_audited(table_name text, content jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN table_name <> 'invoices' OR content ->> 'status' <> 'draft';
COMMENT ON FUNCTION billing.is_audited IS 'Whether the row of an audited table has entries: all but drafts, which every run may build again';

-- Security definer: whoever may write a row may not write entries by itself.
-- OFFSET 0: or the row would be made JSON again for each mention of it.
CREATE OR REPLACE FUNCTION billing.note_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    key_columns text[] := tg_argv[:]; -- a slice counts from 1, the arguments from 0
BEGIN
    IF tg_op = 'DELETE' THEN
        INSERT INTO billing.audit_entries (table_name, row_key)
        SELECT tg_table_name, billing.row_key(o.content, key_columns)
        FROM (SELECT to_jsonb(old_rows) AS content FROM old_rows OFFSET 0) AS o
        WHERE billing.is_audited(tg_table_name, o.content);
        RETURN NULL;
    END IF;
    IF tg_op = 'UPDATE' THEN
        INSERT INTO billing.audit_entries (table_name, row_key)
        SELECT tg_table_name, billing.row_key(o.content, key_columns)
        FROM (SELECT to_jsonb(old_rows) AS content FROM old_rows OFFSET 0) AS o
        WHERE billing.is_audited(tg_table_name, o.content) AND billing.row_key(o.content, key_columns) NOT IN (
            SELECT billing.row_key(to_jsonb(new_rows), key_columns) FROM new_rows
        );
    END IF;
    INSERT INTO billing.audit_entries (table_name, row_key, row_sha256)
    SELECT tg_table_name, billing.row_key(n.content, key_columns), billing.row_digest(n.content)
    FROM (SELECT to_jsonb(new_rows) AS content FROM new_rows OFFSET 0) AS n
    WHERE billing.is_audited(tg_table_name, n.content);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.note_changes IS 'Trigger: an entry of the audit chain for every row that the statement wrote. Its arguments are the columns of the primary key';

CREATE OR REPLACE FUNCTION billing.audited_tables() RETURNS TABLE (table_name text, key_columns text[])
LANGUAGE sql STABLE AS $$
SELECT
    c.relname::text,
    ARRAY(
        SELECT a.attname::text
        FROM pg_catalog.pg_index AS i
        CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
        INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND k.attnum = a.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary
        ORDER BY k.place
    )
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p')
    AND c.relname NOT IN (SELECT t.table_name FROM billing.tables_without_entries() AS t)
ORDER BY 1
$$;
COMMENT ON FUNCTION billing.audited_tables IS 'Every table of the schema whose rows have entries in the audit chain, with the columns of its primary key';

CREATE OR REPLACE FUNCTION billing.audit_every_table() RETURNS void
LANGUAGE plpgsql SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    audited record;
    operation text;
BEGIN
    FOR audited IN
        SELECT t.* FROM billing.audited_tables() AS t
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger
            WHERE tgrelid = format('billing.%I', t.table_name)::regclass AND tgname = 'note_insert'
        )
    LOOP
        IF cardinality(audited.key_columns) > 5 THEN
            RAISE EXCEPTION 'billing.%: the audit chain takes a primary key of at most five columns', audited.table_name;
        END IF;
        FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
            EXECUTE format(
                'CREATE TRIGGER note_%1$s AFTER %1$s ON billing.%2$I REFERENCING %3$s'
                ' FOR EACH STATEMENT EXECUTE FUNCTION billing.note_changes(%4$s)',
                operation, audited.table_name,
                concat_ws(
                    ' ', CASE WHEN operation <> 'insert' THEN 'OLD TABLE AS old_rows' END,
                    CASE WHEN operation <> 'delete' THEN 'NEW TABLE AS new_rows' END
                ),
                (SELECT string_agg(quote_literal(k), ', ') FROM unnest(audited.key_columns) AS k)
            );
        END LOOP;
        -- what a migration put there
        EXECUTE format(
            'INSERT INTO billing.audit_entries (table_name, row_key, row_sha256)'
            ' SELECT %1$L, billing.row_key(n.content, %2$L), billing.row_digest(n.content)'
            ' FROM (SELECT to_jsonb(r) AS content FROM billing.%1$I AS r) AS n WHERE billing.is_audited(%1$L, n.content)',
            audited.table_name, audited.key_columns
        );
    END LOOP;
END;
$$;
COMMENT ON FUNCTION billing.audit_every_table IS 'Gives each audited table that has none its triggers, and entries to the rows that are there: no new table is forgotten';

CREATE OR REPLACE FUNCTION billing.import_digests(first_received timestamptz)
RETURNS TABLE (received_at timestamptz, digest bytea)
LANGUAGE sql STABLE SET timezone TO 'UTC' AS $$
-- in two steps: one text of all digests of an import could become larger than a text may be
SELECT b.received_at, sha256(string_agg(b.digest, '' ORDER BY b.bucket))
FROM (
    SELECT
        e.received_at,
        left(e.series_id::text, 4) AS bucket,
        sha256(string_agg(sha256(convert_to(jsonb_build_array(
            e.event_id, e.customer_id, e.meter, e.dimensions, e.quantity, e.occurred_at, e.series_id
        )::text || coalesce(e.properties::text, ''), 'UTF8')), '' ORDER BY e.event_id COLLATE "C")) AS digest
    FROM billing.usage_events AS e WHERE e.received_at >= first_received
    GROUP BY e.received_at, left(e.series_id::text, 4)
) AS b
GROUP BY b.received_at
$$;
COMMENT ON FUNCTION billing.import_digests IS 'Digest of the events that were received at one instant, which are those of one import, from an instant on';

CREATE OR REPLACE FUNCTION billing.audit_item(entry billing.audit_entries, number bigint) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN convert_to(jsonb_build_array(
    number, entry.entry_id, entry.noted_at, entry.noted_by, entry.table_name, entry.row_key, encode(entry.row_sha256, 'hex')
)::text, 'UTF8');
COMMENT ON FUNCTION billing.audit_item IS 'What the seal of an entry at this place of the chain is over, beside the seal before; needs the time zone UTC';

CREATE OR REPLACE FUNCTION billing.next_seal(seal bytea, item bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(seal || item);
COMMENT ON FUNCTION billing.next_seal IS 'The seal after another one';

CREATE OR REPLACE AGGREGATE billing.chained (bytea)(sfunc = billing.next_seal, stype = bytea, initcond = '');
COMMENT ON AGGREGATE billing.chained (bytea) IS 'The last seal of a chain of items, in their order';

CREATE OR REPLACE FUNCTION billing.audit_head(OUT seal_no bigint, OUT seal bytea)
LANGUAGE sql STABLE AS $$
SELECT e.seal_no, e.seal FROM billing.audit_entries AS e WHERE e.seal_no IS NOT NULL
UNION ALL
SELECT 0, '' ORDER BY 1 DESC LIMIT 1
$$;
COMMENT ON FUNCTION billing.audit_head IS 'Place and seal of the entry that was sealed last; 0 and nothing while there is none';

-- Security definer: the chain goes on by this function alone.
CREATE OR REPLACE FUNCTION billing.seal_audit() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    sealed bigint;
BEGIN
    INSERT INTO billing.audit_entries (table_name, row_key, row_sha256)
    SELECT 'usage_events', i.import_id::text, d.digest
    FROM billing.usage_imports AS i
    INNER JOIN billing.import_digests((
        SELECT min(n.received_at) FROM billing.usage_imports AS n
        WHERE NOT EXISTS (
            SELECT FROM billing.audit_entries AS e WHERE e.table_name = 'usage_events' AND e.row_key = n.import_id::text
        ) AND n.new_event_count > 0
    )) AS d ON i.received_at = d.received_at
    WHERE NOT EXISTS (
        SELECT FROM billing.audit_entries AS e WHERE e.table_name = 'usage_events' AND e.row_key = i.import_id::text
    )
    ORDER BY i.import_id;
    WITH unsealed AS (
        SELECT e.entry_id, h.seal AS before, row_number() OVER (ORDER BY e.entry_id) AS nth,
            billing.audit_item(e, h.seal_no + row_number() OVER (ORDER BY e.entry_id)) AS item,
            h.seal_no + row_number() OVER (ORDER BY e.entry_id) AS seal_no
        FROM billing.audit_entries AS e CROSS JOIN billing.audit_head() AS h WHERE e.seal_no IS NULL
    )
    UPDATE billing.audit_entries AS e SET seal_no = s.seal_no, seal = s.seal
    FROM (
        SELECT u.entry_id, u.seal_no,
            billing.chained(CASE WHEN u.nth = 1 THEN u.before || u.item ELSE u.item END) OVER (ORDER BY u.nth) AS seal
        FROM unsealed AS u
    ) AS s
    WHERE e.entry_id = s.entry_id;
    GET DIAGNOSTICS sealed = ROW_COUNT;
    RETURN sealed;
END;
$$;
COMMENT ON FUNCTION billing.seal_audit IS 'Notes imports that are not noted, seals what is not sealed, in order, and returns how many entries. Its caller holds the lock of the chain';

CREATE OR REPLACE FUNCTION billing.broken_chain() RETURNS TABLE (seal_no bigint, problem text)
LANGUAGE sql STABLE SET timezone TO 'UTC' SET bytea_output TO 'hex' AS $$
SELECT c.place, CASE WHEN c.seal_no = c.place THEN 'was changed, or came in later' ELSE 'is missing' END
FROM (
    SELECT
        e.seal_no, e.seal, row_number() OVER w AS place,
        billing.chained(billing.audit_item(e, e.seal_no)) OVER w AS expected
    FROM billing.audit_entries AS e WHERE e.seal_no IS NOT NULL
    WINDOW w AS (ORDER BY e.seal_no)
) AS c
WHERE c.seal_no <> c.place OR c.seal <> c.expected
ORDER BY c.place LIMIT 1
$$;
COMMENT ON FUNCTION billing.broken_chain IS 'The first sealed entry that the chain does not fit; empty while it fits';

CREATE OR REPLACE FUNCTION billing.rows_without_entry() RETURNS TABLE (table_name text, row_key text, problem text)
LANGUAGE plpgsql STABLE SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    rows_now text;
BEGIN
    SELECT string_agg(format(
        'SELECT %1$L AS table_name, billing.row_key(to_jsonb(r), %2$L) AS row_key, billing.row_digest(to_jsonb(r)) AS digest'
        ' FROM billing.%1$I AS r WHERE billing.is_audited(%1$L, to_jsonb(r))', t.table_name, t.key_columns
    ), ' UNION ALL ') INTO STRICT rows_now
    FROM billing.audited_tables() AS t;
    RETURN QUERY EXECUTE format($query$
        WITH found AS (
            %s
            UNION ALL
            SELECT 'usage_events', i.import_id::text, d.digest
            FROM billing.usage_imports AS i
            INNER JOIN billing.import_digests('-infinity') AS d ON i.received_at = d.received_at
            WHERE EXISTS (
                SELECT FROM billing.audit_entries AS e
                WHERE e.table_name = 'usage_events' AND e.row_key = i.import_id::text
            )
        ),
        noted AS (
            SELECT DISTINCT ON (e.table_name, e.row_key) e.table_name, e.row_key, e.row_sha256
            FROM billing.audit_entries AS e
            ORDER BY e.table_name, e.row_key, e.entry_id DESC
        )
        SELECT
            table_name,
            row_key,
            CASE
                WHEN f.digest IS NULL THEN 'is missing'
                WHEN n.row_sha256 IS NULL THEN 'came in past the triggers'
                ELSE 'was changed past the triggers'
            END
        FROM found AS f FULL JOIN noted AS n USING (table_name, row_key)
        WHERE f.digest IS DISTINCT FROM n.row_sha256
        ORDER BY 1, 2
    $query$, rows_now);
END;
$$;
COMMENT ON FUNCTION billing.rows_without_entry IS 'Rows of audited tables that are not what their newest entry says';
