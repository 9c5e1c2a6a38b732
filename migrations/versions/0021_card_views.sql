-- Analysts' views of the study card. docs/sql.md describes every column. A day of acquisition shows only where the
-- installation says so; its year always does.

CREATE VIEW all_studies AS
SELECT s.id AS study_id,
       s.patient_pseudonym,
       s.accession_pseudonym,
       (ARRAY['stat', 'routine', 'backlog'])[s.lane_rank + 1] AS lane,
       s.state,
       s.reason_code,
       s.flags,
       i.modality,
       s.view,
       i.views,
       i.laterality,
       i.images,
       CAST(extract(year FROM i.acquired_on) AS integer) AS acquired_year,
       CASE WHEN (SELECT analyst_dates FROM installation) THEN i.acquired_on END AS acquired_on,
       m.id AS summary_id,
       m.review_state,
       m.asserted,
       m.uncertain,
       s.received_at,
       s.finished_at
FROM studies s
LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
LEFT JOIN LATERAL (
    SELECT count(*) AS images,
           min(o.modality) FILTER (WHERE o.state = 'accepted') AS modality,
           array_agg(DISTINCT o.view ORDER BY o.view) FILTER (WHERE o.state = 'accepted' AND o.view IS NOT NULL) AS views,
           array_agg(DISTINCT o.laterality ORDER BY o.laterality) FILTER (
               WHERE o.state = 'accepted' AND o.laterality IS NOT NULL) AS laterality,
           min(o.acquired_on) FILTER (WHERE o.state = 'accepted') AS acquired_on
    FROM images o WHERE o.study_id = s.id AND o.duplicate_of IS NULL
) i ON true
WHERE s.alias_of IS NULL AND s.purged_at IS NULL;

CREATE VIEW study_facts AS
SELECT s.id AS study_id,
       i.id AS image_id,
       i.view,
       i.modality,
       i.laterality,
       i.rows,
       i.columns,
       i.spacing_mm[1] AS row_spacing_mm,
       i.spacing_mm[2] AS column_spacing_mm,
       i.spacing_at,
       i.flags,
       CAST(extract(year FROM i.acquired_on) AS integer) AS acquired_year,
       CASE WHEN (SELECT analyst_dates FROM installation) THEN i.acquired_on END AS acquired_on,
       m.id AS summary_id,
       m.bundle,
       m.bundle_sha256,
       m.provenance -> 'software' ->> 'device' AS device,
       m.tokens,
       m.batch_size,
       CAST(m.provenance ->> 'waited_seconds' AS double precision) AS waited_seconds,
       CAST(m.provenance ->> 'generate_seconds' AS double precision) AS generate_seconds
FROM studies s
JOIN images i ON i.id = s.chosen_image
LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
WHERE s.alias_of IS NULL AND s.purged_at IS NULL;

CREATE VIEW readings AS
SELECT m.id AS reading_id,
       m.study_id,
       m.id AS summary_id,
       'draft' AS kind,
       m.summary AS text,
       CAST(NULL AS text) AS reviewer,
       CAST(NULL AS text) AS reason,
       m.bundle,
       m.bundle_sha256,
       m.summarised_at AS at,
       m.superseded_at,
       m.superseded_at IS NULL AND m.review_state = 'draft' AS stands,
       'out_of_scope' = ANY(m.flags) AS out_of_scope
FROM summaries m
UNION ALL
SELECT r.id,
       m.study_id,
       m.id,
       r.action,
       COALESCE(r.text, m.summary),
       r.reviewer,
       r.reason,
       m.bundle,
       m.bundle_sha256,
       r.at,
       m.superseded_at,
       m.superseded_at IS NULL AND m.review_state = r.action AND m.reviewed_at = r.at,
       'out_of_scope' = ANY(m.flags)
FROM reviews r
JOIN summaries m ON m.id = r.summary_id
WHERE r.action IN ('accepted', 'edited', 'rejected');

-- A label stands where its words do: in the text that is read now. Of equal corrections the newest one counts.
CREATE VIEW findings AS
SELECT m.study_id,
       l.source,
       l.source_id AS reading_id,
       m.id AS summary_id,
       l.finding,
       l.side,
       l.zone,
       l.status,
       substr(m.summary, l.words_from + 1, l.words_to - l.words_from) AS words,
       l.words_from,
       l.words_to,
       t.labeller,
       m.superseded_at IS NULL AND m.edited_summary IS NULL AS stands,
       'out_of_scope' = ANY(m.flags) AS out_of_scope
FROM finding_labels l
JOIN labelled_texts t ON t.source = l.source AND t.source_id = l.source_id
JOIN summaries m ON m.id = l.source_id
WHERE l.source = 'draft'
UNION ALL
SELECT m.study_id,
       l.source,
       l.source_id,
       m.id,
       l.finding,
       l.side,
       l.zone,
       l.status,
       substr(r.text, l.words_from + 1, l.words_to - l.words_from),
       l.words_from,
       l.words_to,
       t.labeller,
       m.superseded_at IS NULL AND m.edited_summary = r.text AND NOT EXISTS (
           SELECT FROM reviews n WHERE n.summary_id = m.id AND n.text = r.text AND n.position > r.position),
       'out_of_scope' = ANY(m.flags)
FROM finding_labels l
JOIN labelled_texts t ON t.source = l.source AND t.source_id = l.source_id
JOIN reviews r ON r.id = l.source_id
JOIN summaries m ON m.id = r.summary_id
WHERE l.source = 'review'
UNION ALL
SELECT a.study_id,
       l.source,
       l.source_id,
       a.summary_id,
       l.finding,
       l.side,
       l.zone,
       l.status,
       substr(a.answer, l.words_from + 1, l.words_to - l.words_from),
       l.words_from,
       l.words_to,
       t.labeller,
       false,
       'out_of_scope' = ANY(a.flags)
FROM finding_labels l
JOIN labelled_texts t ON t.source = l.source AND t.source_id = l.source_id
JOIN chat_turns a ON a.id = l.source_id
WHERE l.source = 'answer';

CREATE VIEW turnaround AS
SELECT s.id AS study_id,
       (ARRAY['stat', 'routine', 'backlog'])[s.lane_rank + 1] AS lane,
       s.received_at,
       d.drafted_at,
       g.signed_at,
       g.reviewer,
       CAST(extract(epoch FROM d.drafted_at - s.received_at) AS double precision) AS seconds_to_draft,
       CAST(extract(epoch FROM g.signed_at - d.drafted_at) AS double precision) AS seconds_to_signature
FROM studies s
LEFT JOIN LATERAL (
    SELECT min(m.summarised_at) AS drafted_at FROM summaries m WHERE m.study_id = s.id
) d ON true
LEFT JOIN LATERAL (
    SELECT r.at AS signed_at, r.reviewer FROM summaries m JOIN reviews r ON r.summary_id = m.id
    WHERE m.study_id = s.id AND r.action IN ('accepted', 'edited', 'rejected')
    ORDER BY r.at, r.id LIMIT 1
) g ON true
WHERE s.alias_of IS NULL AND s.purged_at IS NULL;

GRANT SELECT ON all_studies, study_facts, readings, findings, turnaround TO xraygpt_reader;
