"""What must hold at any moment, whatever was killed before. Reads the database and the bucket, and nothing else.

``check_invariants`` looks at a snapshot and so may be called in the middle of a run; with ``finished=True`` it also
says that nothing is left open. ``check_bucket`` holds the database against the two buckets, when nothing moves.
"""

import hashlib
from typing import Any

import psycopg
from psycopg.rows import dict_row

# Each query finds what contradicts its sentence; no row means that it holds.
RULES = {
    "an image is in exactly one place: summarised, rejected, dead, cancelled or open": """
        SELECT i.id, i.state, s.state AS study FROM images i JOIN studies s ON s.id = i.study_id
        WHERE i.state NOT IN ('received', 'accepted', 'rejected', 'dead', 'cancelled')
           OR s.state NOT IN ('received', 'waiting', 'queued', 'summarised', 'rejected', 'dead', 'cancelled')
    """,
    "a summarised study has exactly one current summary": """
        SELECT s.id, count(m.id) FROM studies s LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
        WHERE s.state = 'summarised' GROUP BY s.id HAVING count(m.id) <> 1
    """,
    "no study has two current summaries": """
        SELECT study_id, count(*) FROM summaries WHERE superseded_at IS NULL GROUP BY study_id HAVING count(*) > 1
    """,
    "a current summary is about an accepted image of its study, or its study was stopped or is open again": """
        SELECT m.id, s.state, i.state AS image FROM summaries m JOIN studies s ON s.id = m.study_id
        JOIN images i ON i.id = m.image_id
        WHERE m.superseded_at IS NULL AND s.state = 'summarised'
          AND (i.state <> 'accepted' OR i.study_id <> s.id)
    """,
    "a draft that stands was compared with no film of its own study, or of another patient": """
        SELECT m.id, m.prior_image, h.id AS home FROM summaries m JOIN studies s ON s.id = m.study_id
        JOIN images p ON p.id = m.prior_image JOIN studies h ON h.id = p.study_id
        WHERE m.superseded_at IS NULL AND s.state = 'summarised' AND h.purged_at IS NULL
          AND (h.id = s.id OR h.patient_pseudonym IS DISTINCT FROM s.patient_pseudonym)
    """,
    "a summary was written by a job that is done, in an epoch the job has had": """
        SELECT m.id, j.state, m.lease_epoch, j.lease_epoch AS job_epoch FROM summaries m
        LEFT JOIN jobs j ON j.id = m.job_id
        WHERE j.id IS NULL OR j.state <> 'done' OR m.lease_epoch <> j.lease_epoch
    """,
    "a received image has an open ingest job": """
        SELECT i.id, j.state FROM images i LEFT JOIN jobs j ON j.kind = 'ingest' AND j.subject = i.id
        WHERE i.state = 'received' AND (j.id IS NULL OR j.state NOT IN ('queued', 'running'))
    """,
    "a dead image has a dead ingest job, and the other way round": """
        SELECT i.id, i.state, j.state AS job FROM images i JOIN jobs j ON j.kind = 'ingest' AND j.subject = i.id
        WHERE (i.state = 'dead') <> (j.state = 'dead')
    """,
    "an ended image has no open ingest job": """
        SELECT i.id, i.state, j.state AS job FROM images i JOIN jobs j ON j.kind = 'ingest' AND j.subject = i.id
        WHERE i.state <> 'received' AND j.state IN ('queued', 'running')
    """,
    "a rejected image, and a study rejected as a whole, say why": """
        SELECT id FROM images WHERE state = 'rejected' AND reason_code IS NULL
        UNION ALL SELECT id FROM studies WHERE state = 'rejected' AND reason_code IS NULL
    """,
    "an open study has open work": """
        SELECT s.id, s.state FROM studies s
        WHERE s.alias_of IS NULL AND s.state IN ('received', 'waiting', 'queued')
          AND NOT EXISTS (SELECT FROM jobs j WHERE j.subject = s.id AND j.kind IN ('settle', 'summarise')
                          AND j.state IN ('queued', 'running'))
          AND NOT EXISTS (SELECT FROM jobs j JOIN images i ON i.id = j.subject WHERE i.study_id = s.id
                          AND j.kind = 'ingest' AND j.state IN ('queued', 'running'))
    """,
    "a waiting study is settled, a queued one summarised, by a job of its own revision": """
        SELECT s.id, s.state, s.revision FROM studies s
        WHERE s.alias_of IS NULL AND s.state IN ('waiting', 'queued')
          AND NOT EXISTS (SELECT FROM jobs j WHERE j.subject = s.id AND j.state IN ('queued', 'running')
                          AND j.kind = CASE s.state WHEN 'waiting' THEN 'settle' ELSE 'summarise' END
                          AND j.revision = s.revision)
    """,
    "a provisional id leads in one step to a study that has its images": """
        SELECT a.id FROM studies a JOIN studies h ON h.id = a.alias_of
        WHERE h.alias_of IS NOT NULL OR EXISTS (SELECT FROM images i WHERE i.study_id = a.id)
           OR EXISTS (SELECT FROM summaries m WHERE m.study_id = a.id)
    """,
    "every study id leads to an image": """
        SELECT s.id FROM studies s WHERE s.alias_of IS NULL AND s.purged_at IS NULL
          AND NOT EXISTS (SELECT FROM images i WHERE i.study_id = s.id)
          AND s.state NOT IN ('cancelled', 'rejected', 'dead')
    """,
    "only a running job has a lease; epochs count the claims": """
        SELECT id, state, attempts, lease_epoch FROM jobs
        WHERE (state = 'running') <> (lease_until IS NOT NULL) OR lease_epoch < attempts OR attempts < 0
           OR attempts > max_attempts OR state = 'running' AND lease_epoch = 0
    """,
    "a queued job can be claimed some day": """
        SELECT id, attempts, max_attempts FROM jobs WHERE state = 'queued' AND attempts >= max_attempts
    """,
    "a finished job says when, and waits for nobody": """
        SELECT id, state FROM jobs
        WHERE (state IN ('done', 'dead', 'cancelled')) <> (finished_at IS NOT NULL)
    """,
    "a dead job says why": "SELECT id FROM jobs WHERE state = 'dead' AND COALESCE(last_error, '') = ''",
    "a turn is answered exactly when its job is done": """
        SELECT t.id, t.state, j.state AS job FROM chat_turns t
        LEFT JOIN jobs j ON j.kind = 'chat' AND j.subject = t.id
        WHERE (j.id IS NULL) <> (t.answered_by = 'rule') OR (t.state = 'done') <> (t.answered_at IS NOT NULL)
           OR j.id IS NOT NULL AND (t.state = 'done', t.state = 'dead') <> (j.state = 'done', j.state = 'dead')
    """,
    "a run is over exactly when its job is": """
        SELECT r.id, r.state, j.state AS job FROM training_runs r
        LEFT JOIN jobs j ON j.kind = 'train' AND j.subject = r.id
        WHERE j.id IS NULL AND r.state IN ('queued', 'running', 'done')
           OR (r.state IN ('done', 'dead', 'cancelled')) <> (j.state IN ('done', 'dead', 'cancelled'))
           OR j.id IS NOT NULL AND r.state IN ('done', 'dead', 'cancelled') AND r.state <> j.state
    """,
    "a run that is planned, prepared or encoded waits for open jobs, one for each thing that is missing": """
        SELECT r.id, r.state FROM training_runs r WHERE r.state = 'planning' AND NOT EXISTS (
            SELECT FROM jobs j WHERE j.kind = 'plan' AND j.subject = r.id AND j.state IN ('queued', 'running'))
        UNION ALL SELECT r.id, r.state FROM training_runs r WHERE r.state = 'preparing' AND NOT EXISTS (
            SELECT FROM training_run_shards s JOIN training_shards t ON t.id = s.shard_id AND t.prepared_at IS NULL
            WHERE s.run_id = r.id)
        UNION ALL SELECT r.id, r.state FROM training_runs r JOIN training_run_shards s ON s.run_id = r.id
            JOIN training_shards t ON t.id = s.shard_id AND t.prepared_at IS NULL
            WHERE r.state = 'preparing' AND NOT EXISTS (
                SELECT FROM jobs j WHERE j.kind = 'prepare' AND j.subject = t.id AND j.state IN ('queued', 'running'))
        UNION ALL SELECT r.id, r.state FROM training_runs r WHERE r.state = 'encoding' AND NOT EXISTS (
            SELECT FROM training_run_shards s JOIN training_features f ON f.shard_id = s.shard_id
            WHERE s.run_id = r.id AND f.encoder = r.encoder AND f.encoded_at IS NULL)
    """,
    "a dead run says why": """
        SELECT r.id FROM training_runs r WHERE r.state = 'dead' AND r.problem IS NULL AND NOT EXISTS (
            SELECT FROM jobs j WHERE j.kind IN ('plan', 'train') AND j.subject = r.id AND j.state = 'dead')
    """,
    "each film of a run past preparing is prepared or dropped with a reason; a shard is prepared with its films": """
        SELECT s.run_id, i.position FROM training_runs r JOIN training_run_shards s ON s.run_id = r.id
        JOIN training_images i ON i.shard_id = s.shard_id
        WHERE r.state IN ('encoding', 'queued', 'running', 'done') AND i.sha256 IS NULL AND i.dropped IS NULL
        UNION ALL SELECT t.id, count(i.position) FROM training_shards t
            LEFT JOIN training_images i ON i.shard_id = t.id
            GROUP BY t.id HAVING count(i.position) <> t.images
              OR t.prepared_at IS NOT NULL
                 AND count(*) FILTER (WHERE i.sha256 IS NULL AND i.dropped IS NULL) > 0
    """,
    "features have an object, an open job, or are left to the trainer, unless nobody waits for them": """
        SELECT f.id FROM training_features f JOIN training_run_shards s ON s.shard_id = f.shard_id
        JOIN training_runs r ON r.id = s.run_id AND r.encoder = f.encoder AND r.state = 'encoding'
        WHERE f.encoded_at IS NULL AND NOT f.left_to_trainer AND NOT EXISTS (
            SELECT FROM jobs j WHERE j.kind = 'encode' AND j.subject = f.id AND j.state IN ('queued', 'running'))
    """,
    "a signed text stands beside a film that was not purged": """
        SELECT t.run_id, t.position FROM training_texts t
        JOIN training_run_shards s ON s.run_id = t.run_id AND s.position = t.shard
        JOIN training_images i ON i.shard_id = s.shard_id AND i.position = t.position WHERE i.sha256 IS NULL
    """,
    "a purged study keeps nothing of its patient": """
        SELECT s.id FROM studies s WHERE s.purged_at IS NOT NULL AND (
            s.uid_pseudonym IS NOT NULL OR s.patient_pseudonym IS NOT NULL OR s.accession_pseudonym IS NOT NULL
            OR s.patient_id_pseudonym IS NOT NULL OR s.other_pseudonyms <> '{}'
            OR s.state <> 'cancelled'
            OR EXISTS (SELECT FROM summaries m WHERE m.study_id = s.id)
            OR EXISTS (SELECT FROM chat_turns t WHERE t.study_id = s.id)
            OR EXISTS (SELECT FROM images i WHERE i.study_id = s.id AND (i.state <> 'cancelled'
                OR i.patient_pseudonym IS NOT NULL OR i.accession_pseudonym IS NOT NULL
                OR i.acquired_on IS NOT NULL OR i.acquired_time IS NOT NULL OR i.laterality IS NOT NULL
                OR i.spacing_mm IS NOT NULL OR i.spacing_at IS NOT NULL
                OR EXISTS (SELECT FROM object_keys k WHERE k.image_id = i.id))))
    """,
    "a label belongs to a text that is there": """
        SELECT source, source_id FROM labelled_texts t WHERE NOT EXISTS (
            SELECT FROM summaries WHERE source = 'draft' AND id = source_id
            UNION ALL SELECT FROM reviews WHERE source = 'review' AND id = source_id AND text IS NOT NULL
            UNION ALL SELECT FROM chat_turns WHERE source = 'answer' AND id = source_id AND state = 'done')
    """,
    "a summary asserts what the labels of its own text say, where no correction or rejection stands": """
        SELECT m.id, m.asserted FROM summaries m JOIN labelled_texts t ON t.source = 'draft' AND t.source_id = m.id
        WHERE m.edited_summary IS NULL AND m.review_state <> 'rejected' AND m.asserted IS DISTINCT FROM ARRAY(
            SELECT DISTINCT finding FROM finding_labels
            WHERE source = 'draft' AND source_id = m.id AND status = 'present' ORDER BY finding)
    """,
    "a rejected summary asserts nothing": """
        SELECT id, asserted, uncertain FROM summaries
        WHERE review_state = 'rejected' AND (asserted <> '{}' OR uncertain <> '{}')
    """,
    "a study holds one patient: no two ids, no id under two issuers": """
        SELECT i.study_id, count(*) FROM images i WHERE i.names_read
        GROUP BY i.study_id
        HAVING count(DISTINCT COALESCE(i.patient_id_pseudonym, i.patient_pseudonym)) > 1
            OR count(DISTINCT i.patient_pseudonym) FILTER (WHERE i.patient_id_pseudonym IS NOT NULL) > 1
    """,
    "a summary stands as the last act on it says, unless that was undone": """
        SELECT m.id, m.review_state, r.action FROM summaries m
        LEFT JOIN LATERAL (SELECT * FROM reviews WHERE summary_id = m.id ORDER BY position DESC LIMIT 1) r ON true
        WHERE r.action IS NULL AND (m.review_state <> 'draft' OR m.edited_summary IS NOT NULL)
           OR r.action <> 'undone' AND (m.review_state, m.edited_summary, m.reviewed_by, m.reviewed_at)
              IS DISTINCT FROM (r.action, r.text, r.reviewer, r.at)
    """,
    "the acts on a summary are numbered from 1 without a gap": """
        SELECT summary_id FROM reviews GROUP BY summary_id
        HAVING min(position) <> 1 OR max(position) <> count(*)
    """,
    "what is not purged has its object's key": """
        SELECT i.id FROM images i JOIN studies s ON s.id = i.study_id
        WHERE s.purged_at IS NULL AND NOT EXISTS (SELECT FROM object_keys k WHERE k.image_id = i.id)
    """,
}

COUNTS = """
    SELECT count(*) AS accepted,
           count(*) FILTER (WHERE i.state = 'accepted' AND s.state = 'summarised') AS summarised,
           count(*) FILTER (WHERE i.state = 'rejected' OR i.state = 'accepted' AND s.state = 'rejected') AS rejected,
           count(*) FILTER (WHERE i.state = 'dead' OR i.state = 'accepted' AND s.state = 'dead') AS dead,
           count(*) FILTER (WHERE i.state = 'cancelled' OR i.state = 'accepted' AND s.state = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE i.state = 'received'
               OR i.state = 'accepted' AND s.state IN ('received', 'waiting', 'queued')) AS open
    FROM images i JOIN studies s ON s.id = i.study_id
"""

OPEN_JOBS = "SELECT id, kind, state, last_error FROM jobs WHERE state IN ('queued', 'running')"


def check_invariants(connection: "psycopg.Connection[Any]", *, finished: bool = False) -> dict[str, int]:
    """Assert DESIGN section 3's invariants on one snapshot of the database.

    Args:
        connection: to the ledger's database, outside a transaction.
        finished: also assert that no job and no image is open.

    Returns:
        How many images were taken in (``accepted``), and how many of them are summarised, rejected, dead, cancelled
        and open.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        broken = {}
        for sentence, query in RULES.items():
            found = cursor.execute(query.encode()).fetchall()
            if found:
                broken[sentence] = found[:5]
        counts = cursor.execute(COUNTS).fetchone()
        left = cursor.execute(OPEN_JOBS).fetchall() if finished else []
    assert not broken, "\n".join(f"not true that {sentence}: {found}" for sentence, found in broken.items())
    assert counts is not None
    ended = sum(counts[name] for name in ("summarised", "rejected", "dead", "cancelled"))
    assert counts["accepted"] == ended + counts["open"], f"images were lost or counted twice: {counts}"
    assert not left, f"still open: {left[:5]}"
    return dict(counts)


KNOWN = """
    SELECT k.key, k.etag, i.state FROM object_keys k JOIN images i ON i.id = k.image_id
    WHERE k.bucket = %s AND k.deleted_at IS NULL
"""
STORED = """
    SELECT normalised_key, normalised_sha256 FROM images WHERE state = 'accepted'
    UNION SELECT preview_key, preview_sha256 FROM images WHERE state = 'accepted'
    UNION SELECT deep_key, deep_sha256 FROM images WHERE state = 'accepted' AND deep_key IS NOT NULL
"""


def check_bucket(
    connection: "psycopg.Connection[Any]", s3: Any, source: str, derived: str, read: set[str] | None = None
) -> None:
    """Assert that every object of the source bucket is an image, and every accepted image lies in the derived one.

    Args:
        s3: a client of boto3.
        read: keys whose bytes were looked at before; those of now are added.
    """
    read = set() if read is None else read
    known = {(key, etag): state for key, etag, state in connection.execute(KNOWN, [source])}
    objects = {(item["Key"], item["ETag"].strip('"')) for item in _listed(s3, source)}
    assert objects <= set(known), f"{len(objects - set(known))} objects of the bucket are no images"
    cancelled = {where for where in objects if known[where] == "cancelled"}
    assert not cancelled, f"{len(cancelled)} objects that lie in the bucket were taken for replaced"
    gone = {where for where, state in known.items() if state == "accepted"} - objects
    assert {key for key, _ in gone} <= {key for key, _ in objects}, "an image was made of an object that never was"
    there = {item["Key"] for item in _listed(s3, derived)}
    for key, sha256 in connection.execute(STORED):
        assert key in there, "an accepted image has lost its pixels"
        if key in read:
            continue
        body = s3.get_object(Bucket=derived, Key=key)["Body"].read()
        read.add(key)
        assert hashlib.sha256(body).hexdigest() == sha256, "the stored pixels are not those that were accepted"


def _listed(s3: Any, bucket: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item for page in pages for item in page.get("Contents", [])]
