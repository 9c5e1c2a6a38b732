-- A key or session that was a trainer's alone ends.
ALTER TABLE sessions DROP CONSTRAINT ck_sessions_known_roles;
UPDATE sessions SET ended_at = COALESCE(ended_at, clock_timestamp()), roles = ARRAY['analyst'] WHERE roles = ARRAY['trainer'];
UPDATE sessions SET roles = array_remove(roles, 'trainer');
ALTER TABLE sessions ADD CONSTRAINT ck_sessions_known_roles
    CHECK (roles <@ ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service'] AND cardinality(roles) > 0);
ALTER TABLE api_keys DROP CONSTRAINT ck_api_keys_known_roles;
UPDATE api_keys SET revoked_at = COALESCE(revoked_at, clock_timestamp()), roles = ARRAY['analyst'] WHERE roles = ARRAY['trainer'];
UPDATE api_keys SET roles = array_remove(roles, 'trainer');
ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_known_roles
    CHECK (roles <@ ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service'] AND cardinality(roles) > 0);

DROP TABLE training_used;
DROP TABLE training_exclusions;
DROP TABLE training_files;
DROP VIEW training_progress;
ALTER TABLE training_points DROP COLUMN held_out, DROP COLUMN swapped;
ALTER TABLE training_runs
    DROP COLUMN paused_at,
    DROP COLUMN failure,
    DROP COLUMN failure_says,
    DROP COLUMN waits_for,
    DROP COLUMN held_out,
    DROP COLUMN swapped,
    DROP COLUMN first_held_out;

CREATE VIEW training_progress AS
SELECT r.id AS run_id,
       r.stage,
       r.state,
       r.parent_run,
       r.base_bundle,
       p.lease_epoch,
       COALESCE(p.step, r.step) AS step,
       r.steps,
       COALESCE(p.loss, r.loss) AS loss,
       COALESCE(p.samples_per_s, r.samples_per_s) AS samples_per_s,
       r.checkpoint_step,
       r.bundle,
       COALESCE(p.at, r.created_at) AS at
FROM training_runs r
LEFT JOIN training_points p ON p.run_id = r.id;
GRANT SELECT ON training_progress TO xraygpt_reader;
