-- A label stands where its words do: in the text that is read now, unless a person rejected that. Of equal corrections
-- the newest one counts.
CREATE OR REPLACE VIEW findings AS
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
       m.superseded_at IS NULL AND m.edited_summary IS NULL AND m.review_state <> 'rejected' AS stands,
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
       m.superseded_at IS NULL AND m.edited_summary = r.text AND m.review_state <> 'rejected' AND NOT EXISTS (
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
