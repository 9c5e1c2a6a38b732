-- What PostgreSQL lets every role do, and none of ours needs. Run by the superuser in the database `xraygpt`, as often as
-- one likes: by the one-machine stack at each start, and by the PostgreSQL container once.
--
-- Locks that other sessions wait for: an analyst who holds one would keep control and ingest waiting for ever. The owner
-- passes two of them on to the processes (migrations/grants.py). And what writes although a transaction is read-only: large
-- objects, and messages into the log of changes, which fill the disk.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND (proname ~ '^pg_(try_)?advisory_' OR proname ~ '^lo_'
             OR proname IN ('loread', 'lowrite', 'pg_logical_emit_message'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
        IF one::text ~ 'advisory' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO xraygpt WITH GRANT OPTION', one);
        END IF;
    END LOOP;
END
$$;
