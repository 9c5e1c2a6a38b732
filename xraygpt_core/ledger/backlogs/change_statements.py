"""Every statement that pauses, resumes or cancels a backlog, each written out whole and named after what it does.

A backlog is changed in windows of :data:`WINDOW` images. A window's parameters are ``id`` (of the backlog), ``after``
(the last image of the window before) and ``change`` (the change that is going on).

The statements share these parts:

- *The window's images* are the inner ``SELECT image_id … LIMIT`` with each image's row beside it. Everything is looked
  up by a key that is known before the look, or that stands in an array. The planner may believe that a table is empty,
  because it was filled a moment ago: it could turn a join into one walk through all rows for each row of the window.
- *The window's jobs* are found by their subjects: an image is read, a study is settled and summarised. A job whose lane
  was raised above the backlog's is no longer the backlog's to stop.
- *Wanted by others* means that another backlog in one of the named states lists the image, too, or that something else
  than a backlog registered it. Such an image is not the backlog's to stop, and neither is its study. A study that has a
  summary is not, either. An image's registration stands on the timeline of the study that it was in first.
"""

from xraygpt_core.ledger.studies.reopen import BY_PERSON, STOPPED

# A million jobs in one statement would hold their rows for a minute, and run into the statement's time limit. The
# number stands in the statements, so that the planner knows it.
WINDOW = 10_000

# The backlog's own row. What is asked for again (:repeat) begins anew, though the backlog is in that state already.
BEGIN_PAUSE = """
    UPDATE backlogs SET changing = :change, state = 'paused'
    WHERE id = :id AND (state IN ('listing', 'listed') OR state = 'paused' AND (:repeat OR changing IS NOT NULL))
    RETURNING id
"""
BEGIN_CANCEL = """
    UPDATE backlogs SET changing = :change, state = 'cancelled', finished_at = clock_timestamp()
    WHERE id = :id AND (state IN ('listing', 'listed', 'paused')
                        OR state = 'cancelled' AND (:repeat OR changing IS NOT NULL))
    RETURNING id
"""
# A resumed backlog keeps its state until the end: otherwise it would be taken for done meanwhile.
BEGIN_RESUME = "UPDATE backlogs SET changing = :change WHERE id = :id AND state IN ('paused', 'cancelled') RETURNING id"

# Another change of the backlog waits for the window; the next window finds that it was overtaken.
LOCK_CHANGE = "SELECT id FROM backlogs WHERE id = :id AND changing = :change FOR SHARE"

END_CHANGE = "UPDATE backlogs SET changing = NULL WHERE id = :id AND changing = :change"
END_RESUME = """
    UPDATE backlogs SET changing = NULL, finished_at = NULL,
           state = CASE WHEN listed_at IS NULL THEN 'listing' ELSE 'listed' END
    WHERE id = :id AND changing = :change
"""

WINDOW_END = f"""
    SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
    ORDER BY image_id OFFSET {WINDOW - 1} LIMIT 1
"""

# Locks are taken before anything is decided, jobs before studies as everywhere. What is stopped is then as it will be:
# another backlog's page is waited for, and a content that is being registered or rejected at this moment.
LOCK_WINDOW_JOBS = f"""
    SELECT count(*) FROM (
        SELECT id FROM jobs WHERE id = ANY (ARRAY(
            SELECT id FROM jobs
            WHERE state = 'queued'
              AND subject = ANY (ARRAY(
                  SELECT unnest(ARRAY[n.image_id, i.study_id])
                  FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
                        ORDER BY image_id LIMIT {WINDOW}) n
                  CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i))
              AND lane_rank >= (SELECT lane_rank FROM backlogs WHERE id = :id)))
        ORDER BY id FOR UPDATE) AS locked
"""
LOCK_WINDOW_STUDIES = f"""
    SELECT count(*) FROM (
        SELECT id FROM studies
        WHERE id = ANY (ARRAY(
            SELECT i.study_id
            FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
                  ORDER BY image_id LIMIT {WINDOW}) n
            CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i))
          AND state IN ('received', 'waiting', 'queued')
        ORDER BY id FOR UPDATE) AS locked
"""

# Paused jobs wait far in the future, and the dispatcher passes them over.
PAUSE_WINDOW = f"""
    UPDATE jobs SET not_before = 'infinity'
    WHERE state = 'queued'
      AND subject = ANY (ARRAY(
          SELECT unnest(
              CASE WHEN ((SELECT 1 FROM backlog_images x
                          WHERE x.image_id = n.image_id AND x.backlog_id = ANY (ARRAY(
                              SELECT id FROM backlogs WHERE id <> :id AND state IN ('listing', 'listed')))
                          LIMIT 1) IS NOT NULL
                         OR (SELECT 1 FROM timeline t
                             WHERE t.study_id = i.study_id AND t.image_id = n.image_id AND t.what = 'registered'
                               AND t.who <> 'backlog' LIMIT 1) IS NOT NULL)
                   THEN ARRAY[i.study_id] ELSE ARRAY[n.image_id, i.study_id] END)
          FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
                ORDER BY image_id LIMIT {WINDOW}) n
          CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i))
      AND lane_rank >= (SELECT lane_rank FROM backlogs WHERE id = :id)
      AND (kind = 'ingest' OR
           (SELECT 1 FROM summaries m WHERE m.study_id = jobs.subject AND m.superseded_at IS NULL) IS NULL
           AND (SELECT 1 FROM images o
                WHERE o.study_id = jobs.subject AND o.state IN ('received', 'accepted')
                  AND ((SELECT 1 FROM backlog_images n WHERE n.backlog_id = :id AND n.image_id = o.id) IS NULL
                       OR ((SELECT 1 FROM backlog_images x
                            WHERE x.image_id = o.id AND x.backlog_id = ANY (ARRAY(
                                SELECT id FROM backlogs WHERE id <> :id AND state IN ('listing', 'listed')))
                            LIMIT 1) IS NOT NULL
                           OR (SELECT 1 FROM timeline t
                               WHERE t.study_id = ANY (ARRAY(
                                   SELECT o.study_id
                                   UNION ALL SELECT s.id FROM studies s WHERE s.alias_of = o.study_id))
                                 AND t.image_id = o.id AND t.what = 'registered'
                                 AND t.who <> 'backlog' LIMIT 1) IS NOT NULL))
                LIMIT 1) IS NULL)
"""

# Unlike a pause, a cancellation leaves alone what a paused backlog lists, too. A study that is not read yet is over
# with its last image; one whose object has another content that is being read goes on. One that is read is over with
# its own job, unless an image joined it at this very moment: the study then has a newer revision than the job.
CANCEL_WINDOW = f"""
    WITH stopped AS (
        UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE state = 'queued'
          AND subject = ANY (ARRAY(
              SELECT unnest(
                  CASE WHEN ((SELECT 1 FROM backlog_images x
                              WHERE x.image_id = n.image_id AND x.backlog_id = ANY (ARRAY(
                                  SELECT id FROM backlogs WHERE id <> :id AND state IN ('listing', 'listed', 'paused')))
                              LIMIT 1) IS NOT NULL
                             OR (SELECT 1 FROM timeline t
                                 WHERE t.study_id = i.study_id AND t.image_id = n.image_id AND t.what = 'registered'
                                   AND t.who <> 'backlog' LIMIT 1) IS NOT NULL)
                       THEN ARRAY[i.study_id] ELSE ARRAY[n.image_id, i.study_id] END)
              FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
                    ORDER BY image_id LIMIT {WINDOW}) n
              CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i))
          AND lane_rank >= (SELECT lane_rank FROM backlogs WHERE id = :id)
          AND (kind = 'ingest' OR
               (SELECT 1 FROM summaries m WHERE m.study_id = jobs.subject AND m.superseded_at IS NULL) IS NULL
               AND (SELECT 1 FROM images o
                    WHERE o.study_id = jobs.subject AND o.state IN ('received', 'accepted')
                      AND ((SELECT 1 FROM backlog_images n WHERE n.backlog_id = :id AND n.image_id = o.id) IS NULL
                           OR ((SELECT 1 FROM backlog_images x
                                WHERE x.image_id = o.id AND x.backlog_id = ANY (ARRAY(
                                    SELECT id FROM backlogs
                                    WHERE id <> :id AND state IN ('listing', 'listed', 'paused')))
                                LIMIT 1) IS NOT NULL
                               OR (SELECT 1 FROM timeline t
                                   WHERE t.study_id = ANY (ARRAY(
                                       SELECT o.study_id
                                       UNION ALL SELECT s.id FROM studies s WHERE s.alias_of = o.study_id))
                                     AND t.image_id = o.id AND t.what = 'registered'
                                     AND t.who <> 'backlog' LIMIT 1) IS NOT NULL))
                    LIMIT 1) IS NULL)
        RETURNING kind, subject, revision
    ), unread AS (
        UPDATE images SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE id = ANY (ARRAY(SELECT subject FROM stopped WHERE kind = 'ingest')) AND state = 'received'
        RETURNING id, study_id
    ), ended AS (
        UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = studies.revision + 1,
               finished_at = clock_timestamp()
        WHERE id = ANY (ARRAY(
            SELECT s.id FROM stopped j
            CROSS JOIN LATERAL (SELECT id, revision FROM studies WHERE id = j.subject LIMIT 1) s
            WHERE j.kind <> 'ingest' AND j.revision = s.revision
        )) AND state IN ('waiting', 'queued') RETURNING id
    ), read AS (
        UPDATE images SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE study_id = ANY (ARRAY(SELECT id FROM ended)) AND state = 'accepted' RETURNING id, study_id
    ), story AS (
        INSERT INTO timeline (study_id, image_id, what, who, detail)
        SELECT study_id, id, 'cancelled', 'backlog', jsonb_build_object('backlog', CAST(:id AS uuid))
        FROM (TABLE unread UNION ALL TABLE read) AS gone
    )
    UPDATE studies SET state = 'cancelled', finished_at = clock_timestamp()
    WHERE id = ANY (ARRAY(SELECT study_id FROM unread)) AND state = 'received'
      AND (SELECT 1 FROM images i WHERE i.study_id = studies.id AND i.state IN ('received', 'accepted')
             AND i.id NOT IN (SELECT id FROM unread) LIMIT 1) IS NULL
"""

# No index knows isfinite: the planner would walk through the index of what waits from its beginning for every window.
RESUME_PAUSED_WINDOW = f"""
    UPDATE jobs SET not_before = NULL
    WHERE state = 'queued'
      AND subject = ANY (ARRAY(
          SELECT unnest(ARRAY[n.image_id, i.study_id])
          FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
                ORDER BY image_id LIMIT {WINDOW}) n
          CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i))
      AND lane_rank >= (SELECT lane_rank FROM backlogs WHERE id = :id)
      AND NOT isfinite(not_before)
"""

# Images that a backlog's cancellation ended, and not a person or a newer content; with them their studies. An image
# that was being read meanwhile is in its study already, which is then settled anew.
RESUME_CANCELLED_WINDOW = f"""
    WITH its AS (
        SELECT i.id, i.study_id, i.state = 'cancelled' AS stopped
        FROM (SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
              ORDER BY image_id LIMIT {WINDOW}) n
        CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i
        CROSS JOIN LATERAL (SELECT * FROM studies WHERE id = i.study_id LIMIT 1) s
        WHERE (i.state = 'cancelled' AND i.reason_code IS NULL
               OR i.state IN ('received', 'accepted') AND s.state = 'cancelled')
          AND s.purged_at IS NULL AND 'backlog' = (
              SELECT CASE WHEN {BY_PERSON} THEN 'person' ELSE t.who END FROM timeline t
              WHERE t.study_id = s.id AND t.what = 'cancelled'
                AND (t.image_id = i.id OR t.image_id IS NULL OR i.state <> 'cancelled')
              ORDER BY t.id DESC LIMIT 1)
    ), unread AS (
        UPDATE images SET state = 'received', finished_at = NULL
        WHERE id = ANY (ARRAY(SELECT id FROM its WHERE stopped)) AND state = 'cancelled' RETURNING id, study_id
    ), requeued AS (
        UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL
        WHERE kind = 'ingest' AND key = ANY (ARRAY(SELECT id::text FROM unread))
    ), story AS (
        INSERT INTO timeline (study_id, image_id, what, who) SELECT study_id, id, 'resumed', 'backlog' FROM unread
    )
    UPDATE studies SET finished_at = NULL,
           revision = revision + ((SELECT 1 FROM images i
                                   WHERE i.study_id = studies.id AND i.state = 'accepted' LIMIT 1) IS NOT NULL)::int,
           state = CASE WHEN ((SELECT 1 FROM images i
                               WHERE i.study_id = studies.id AND i.state = 'accepted' LIMIT 1) IS NOT NULL)
                   THEN 'waiting' ELSE 'received' END
    WHERE id = ANY (ARRAY(SELECT study_id FROM its)) AND {STOPPED}
    RETURNING id, revision, lane_rank, place, state
"""
