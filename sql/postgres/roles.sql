-- The roles that docs/security.md describes. They belong to the server: logins are members of one of them.
DO $$
DECLARE
    wanted text;
    thing record;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'billing_owner', 'billing_pipeline', 'billing_api', 'billing_analyst', 'billing_personal', 'billing_receiver'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another process was quicker
            END;
        END IF;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT billing_owner, billing_pipeline TO %I', current_user);
    END IF;
    -- The API's operations are the commands'. It is a role of its own, to be told apart and given limits of its own.
    GRANT billing_pipeline TO billing_api;
    GRANT billing_analyst TO billing_personal;
    -- so that a login of the owner works as the pipeline, too, but for a migration
    GRANT billing_pipeline TO billing_owner;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I'
        ' TO billing_owner, billing_pipeline, billing_api, billing_analyst, billing_personal, billing_receiver',
        current_database()
    );
    EXECUTE format('GRANT CREATE ON DATABASE %I TO billing_owner', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO billing_owner, billing_pipeline, billing_api', current_database());

    -- what was made before there were roles
    FOR thing IN
        SELECT format('ALTER SCHEMA %I OWNER TO billing_owner', n.nspname) AS statement
        FROM pg_namespace AS n WHERE n.nspname IN ('billing', 'billing_migrations')
        UNION ALL
        SELECT format(
            'ALTER %s %s OWNER TO billing_owner', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            c.oid::regclass
        )
        FROM pg_class AS c
        WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('billing', 'billing_migrations'))
            AND c.relkind IN ('r', 'p', 'v', 'S') AND c.relowner <> 'billing_owner'::regrole
            -- a sequence of a column goes with its table
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i') AND c.relkind = 'S')
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO billing_owner', p.oid::regprocedure)
        FROM pg_proc AS p WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname = 'billing')
            AND p.proowner <> 'billing_owner'::regrole
        UNION ALL
        SELECT format('ALTER DOMAIN %s OWNER TO billing_owner', t.oid::regtype)
        FROM pg_type AS t
        WHERE t.typnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = 'billing') AND t.typtype = 'd'
    LOOP
        EXECUTE thing.statement;
    END LOOP;
END;
$$;
