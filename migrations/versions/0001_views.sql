-- What analysts see. docs/sql.md describes every column; a test holds the two equal.

CREATE VIEW study_summaries AS
SELECT s.id AS study_id,
       s.patient_pseudonym,
       s.accession_pseudonym,
       s.view,
       (ARRAY['stat', 'routine', 'backlog'])[s.lane_rank + 1] AS lane,
       s.state,
       m.findings,
       m.impression,
       COALESCE(m.edited_summary, m.summary) AS summary,
       m.bundle,
       m.bundle_sha256,
       m.lease_epoch,
       s.received_at,
       m.summarised_at,
       m.review_state
FROM studies s
JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL;

CREATE VIEW backlog_progress AS
SELECT b.id AS backlog_id,
       b.state,
       (ARRAY['stat', 'routine', 'backlog'])[b.lane_rank + 1] AS lane,
       b.listed,
       count(i.id) AS registered,
       count(*) FILTER (WHERE i.state = 'accepted' AND s.state = 'summarised') AS summarised,
       count(*) FILTER (WHERE i.state = 'rejected' OR i.state = 'accepted' AND s.state = 'rejected') AS rejected,
       count(*) FILTER (WHERE i.state = 'dead' OR i.state = 'accepted' AND s.state = 'dead') AS dead,
       count(*) FILTER (WHERE i.state = 'cancelled' OR i.state = 'accepted' AND s.state = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE i.state = 'received'
           OR i.state = 'accepted' AND s.state IN ('received', 'waiting', 'queued')) AS open,
       b.created_at,
       b.listed_at,
       b.finished_at
FROM backlogs b
LEFT JOIN backlog_images n ON n.backlog_id = b.id
LEFT JOIN images i ON i.id = n.image_id
LEFT JOIN studies s ON s.id = i.study_id
GROUP BY b.id;

CREATE VIEW chat_transcripts AS
SELECT t.id AS turn_id,
       t.study_id,
       t.summary_id,
       t.position,
       t.question,
       t.answer,
       t.state,
       t.bundle,
       t.bundle_sha256,
       t.asked_at,
       t.answered_at
FROM chat_turns t;

CREATE VIEW dead_jobs AS
SELECT j.id AS job_id,
       j.kind,
       j.subject,
       (ARRAY['stat', 'routine', 'backlog'])[j.lane_rank + 1] AS lane,
       j.attempts,
       j.lease_epoch,
       j.last_error,
       j.created_at,
       j.finished_at AS died_at
FROM jobs j
WHERE j.state = 'dead';

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

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xraygpt_reader') THEN
        CREATE ROLE xraygpt_reader NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object THEN
    NULL; -- another database of this server made it at the same moment
END
$$;

GRANT USAGE ON SCHEMA public TO xraygpt_reader;
GRANT SELECT ON study_summaries, backlog_progress, chat_transcripts, dead_jobs, training_progress TO xraygpt_reader;
