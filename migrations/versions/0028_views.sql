-- The views of texts, with the places that a model names and with who answered. docs/sql.md describes every column.

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
       m.review_state,
       s.flags || m.flags AS flags,
       'out_of_scope' = ANY(m.flags) AS out_of_scope,
       COALESCE(m.provenance -> 'scope' ->> 'says', 'This bundle does not say what it was made for.') AS scope,
       m.consistency,
       m.grounding
FROM studies s
JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL;

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
       t.answered_at,
       t.flags,
       'out_of_scope' = ANY(t.flags) AS out_of_scope,
       CASE WHEN t.state = 'done' AND t.answered_by = 'model' THEN COALESCE(t.provenance -> 'scope' ->> 'says', 'This bundle does not say what it was made for.') END AS scope,
       t.consistency,
       t.answered_by
FROM chat_turns t;
