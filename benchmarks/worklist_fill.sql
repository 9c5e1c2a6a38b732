-- A finding is in one text of three, of ten, of a hundred and of two thousand; half of the drafts are signed. The older
-- half is of another bundle: a filter that lets only the far end of a list through is the hard one.
WITH n AS MATERIALIZED (
    SELECT n, gen_random_uuid() AS study, gen_random_uuid() AS image, gen_random_uuid() AS job,
           now() - n * interval '7 seconds' AS at,
           CASE WHEN n %% 200 = 0 THEN 0 WHEN n %% 3 = 0 THEN 1 ELSE 2 END AS rank, n %% 50 <> 7 AS done,
           array_remove(ARRAY[
               CASE WHEN n %% 3 = 0 THEN 'effusion' END, CASE WHEN n %% 10 = 1 THEN 'consolidation' END,
               CASE WHEN n %% 100 = 3 THEN 'pneumothorax' END, CASE WHEN n %% 2000 = 9 THEN 'nodule' END], NULL) AS said
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
), s AS (
    INSERT INTO studies (id, uid_pseudonym, patient_pseudonym, lane_rank, state, reason_code, revision, chosen_image,
                         view, flags, received_at, finished_at)
    SELECT study, 'u' || n, 'p' || n / 3, rank, CASE WHEN done THEN 'summarised' ELSE 'rejected' END,
           CASE WHEN NOT done THEN 'blank' END, 1, image,
           CASE WHEN n %% 40 = 5 THEN 'LL' WHEN n %% 3 = 1 THEN 'AP' ELSE 'PA' END,
           CASE WHEN n %% 500 = 11 THEN ARRAY['chest_uncertain'] ELSE ARRAY['burned_in_unchecked'] END, at,
           at + interval '20 seconds' FROM n
), i AS (
    INSERT INTO images (id, study_id, state, view, modality, acquired_on, preview_key, received_at)
    SELECT image, study, 'accepted', 'PA', 'DX', CASE WHEN n %% 20 > 0 THEN CAST(at AS date) - CAST(n %% 7 AS int) END,
           'p', at FROM n
    UNION ALL SELECT gen_random_uuid(), study, 'accepted', 'LL', 'DX', CAST(at AS date), 'p', at FROM n WHERE n %% 4 = 0
)
INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                       findings, impression, provenance, tokens, batch_size, lane_rank, review_state, reviewed_by,
                       reviewed_at, asserted, uncertain, flags, summarised_at)
SELECT gen_random_uuid(), study, image, 1, job, 1, CASE WHEN n > %(half)s THEN 'older' ELSE 'newer' END,
       repeat('f', 64), 'Findings: ' || t.text || ' Impression: ' || t.text, t.text, t.text, '{}', 90, 16, rank,
       CASE n %% 4 WHEN 1 THEN 'accepted' WHEN 3 THEN 'edited' ELSE 'draft' END,
       CASE WHEN n %% 2 = 1 THEN 'Dr. ' || CASE WHEN n %% 1000 = 1 THEN 'Rare' ELSE chr(65 + CAST(n %% 9 AS int)) END END,
       CASE WHEN n %% 2 = 1 THEN at + interval '1 hour' END, said,
       CASE WHEN n %% 60 = 2 THEN ARRAY['nodule'] ELSE '{}' END,
       CASE WHEN n %% 90 = 4 THEN ARRAY['consistency'] ELSE '{}' END, at + interval '20 seconds'
FROM n, LATERAL (SELECT 'The heart is normal in size. The mediastinum is not widened. '
    || CASE WHEN 'effusion' = ANY(said) THEN 'A small left pleural effusion is seen. ' ELSE 'No pleural effusion. ' END
    || CASE WHEN 'pneumothorax' = ANY(said) THEN 'Large right pneumothorax. ' ELSE 'No air in the pleural space. ' END
    || CASE WHEN 'nodule' = ANY(said) THEN 'Solitary nodule. ' ELSE '' END
    || CASE WHEN n %% 7000 = 5 THEN 'Situs inversus. ' ELSE '' END || 'The bones are intact.' AS text) t
WHERE done
