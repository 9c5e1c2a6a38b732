-- A key that held every role holds the new one, too.
ALTER TABLE api_keys DROP CONSTRAINT ck_api_keys_known_roles;
UPDATE api_keys SET roles = ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service', 'trainer']
WHERE roles @> ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service'];
ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_known_roles
    CHECK (roles <@ ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service', 'trainer'] AND cardinality(roles) > 0);
ALTER TABLE sessions DROP CONSTRAINT ck_sessions_known_roles;
UPDATE sessions SET roles = ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service', 'trainer']
WHERE roles @> ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service'];
ALTER TABLE sessions ADD CONSTRAINT ck_sessions_known_roles
    CHECK (roles <@ ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service', 'trainer'] AND cardinality(roles) > 0);

ALTER TABLE training_runs
    ADD COLUMN paused_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN failure TEXT,
    ADD COLUMN failure_says TEXT,
    ADD COLUMN waits_for TEXT,
    ADD COLUMN held_out DOUBLE PRECISION,
    ADD COLUMN swapped DOUBLE PRECISION,
    ADD COLUMN first_held_out DOUBLE PRECISION;

ALTER TABLE training_points
    ADD COLUMN held_out DOUBLE PRECISION,
    ADD COLUMN swapped DOUBLE PRECISION;

CREATE TABLE training_files (
    run_id UUID NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_training_files PRIMARY KEY (run_id, name),
    CONSTRAINT fk_training_files_run_id FOREIGN KEY (run_id) REFERENCES training_runs (id)
);

CREATE TABLE training_exclusions (
    study_id UUID NOT NULL,
    image_ids UUID[] NOT NULL,
    excluded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_training_exclusions PRIMARY KEY (study_id)
);

CREATE TABLE training_used (
    study_id UUID NOT NULL,
    run_id UUID NOT NULL,
    CONSTRAINT pk_training_used PRIMARY KEY (study_id, run_id),
    CONSTRAINT fk_training_used_run_id FOREIGN KEY (run_id) REFERENCES training_runs (id)
);

-- A run that a person paused is shown as paused from the moment its worker has let go of it.
CREATE OR REPLACE VIEW training_progress AS
SELECT r.id AS run_id,
       r.stage,
       CASE WHEN r.paused_at IS NOT NULL AND r.state NOT IN ('done', 'dead', 'cancelled') AND NOT EXISTS (
                SELECT FROM jobs j WHERE j.subject = r.id AND j.kind = 'train' AND j.state = 'running')
            THEN 'paused' ELSE r.state END AS state,
       r.parent_run,
       r.base_bundle,
       p.lease_epoch,
       COALESCE(p.step, r.step) AS step,
       r.steps,
       CASE WHEN p.run_id IS NULL THEN r.loss ELSE p.loss END AS loss,
       CASE WHEN p.run_id IS NULL THEN r.samples_per_s ELSE p.samples_per_s END AS samples_per_s,
       r.checkpoint_step,
       r.bundle,
       COALESCE(p.at, r.created_at) AS at,
       p.held_out,
       p.swapped,
       r.failure,
       r.failure_says,
       r.waits_for
FROM training_runs r
LEFT JOIN training_points p ON p.run_id = r.id;
