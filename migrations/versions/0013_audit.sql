-- Who did what, sealed into a chain of hashes.

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    what TEXT NOT NULL,
    actor TEXT NOT NULL,
    key_id UUID,
    session_id UUID,
    address TEXT,
    study_id UUID,
    subject UUID,
    studies UUID[],
    outcome TEXT DEFAULT 'done' NOT NULL,
    detail JSONB,
    CONSTRAINT pk_audit PRIMARY KEY (id),
    CONSTRAINT ck_audit_known_outcome CHECK (outcome IN ('done', 'refused', 'failed'))
);

CREATE TABLE audit_open (
    id BIGINT NOT NULL,
    CONSTRAINT pk_audit_open PRIMARY KEY (id)
);

CREATE TABLE audit_seals (
    position BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ids INT8MULTIRANGE NOT NULL,
    rows BIGINT NOT NULL,
    row_digests BYTEA NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL,
    CONSTRAINT pk_audit_seals PRIMARY KEY (position)
);

CREATE INDEX ix_audit_seals_at ON audit_seals (at);

-- A queue that is emptied every second: dead rows go before anybody has to read past them.
ALTER TABLE audit_open SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- The database's owner writes for all of us, so it is not rights alone that keep the record but this. What an owner does
-- who switches the trigger off, the seals tell (docs/audit.md).
CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to: nobody changes or removes a row of it'
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_is_kept();

CREATE TRIGGER audit_is_kept_together BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept();

CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit_seals
FOR EACH ROW EXECUTE FUNCTION audit_is_kept();

CREATE TRIGGER audit_is_kept_together BEFORE TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept();

-- Also for a session that says it applies what another server wrote (session_replication_role).
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_is_kept, ENABLE ALWAYS TRIGGER audit_is_kept_together;
ALTER TABLE audit_seals ENABLE ALWAYS TRIGGER audit_is_kept, ENABLE ALWAYS TRIGGER audit_is_kept_together;
