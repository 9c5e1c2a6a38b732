"""Many read images at once: the plain ones in a few statements for all of them, the others one after the other.

Plain is the first image of a study nobody else has brought, from a key that never held anything else: nearly every
image of a backlog. Everything is decided after the locks are taken, so what is plain stays plain until the commit.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

if TYPE_CHECKING:
    from xraygpt_core.ledger.studies.ingest import IngestedImage

# As in ledger.grouping: whoever brings an image of the same study waits here, then for the study's row.
_LOCK_UIDS = """
    SELECT pg_advisory_xact_lock(uid) FROM (
        SELECT DISTINCT hashtextextended(uid, 0) AS uid FROM unnest(CAST(:uids AS text[])) AS uid ORDER BY 1
    ) AS sorted
"""

_LOCK_STUDIES = """
    SELECT s.id FROM images i JOIN studies s ON s.id = i.study_id
    WHERE i.id = ANY(CAST(:ids AS uuid[])) ORDER BY s.id FOR UPDATE OF s
"""

_PLAIN = """
    SELECT i.id, s.id AS study_id
    FROM unnest(CAST(:ids AS uuid[]), CAST(:uids AS text[])) AS n (image_id, uid)
    JOIN images i ON i.id = n.image_id JOIN studies s ON s.id = i.study_id JOIN object_keys k ON k.image_id = i.id
    WHERE i.state = 'received' AND s.state = 'received' AND s.revision = 0 AND s.uid_pseudonym IS NULL
      AND s.alias_of IS NULL
      AND NOT EXISTS (SELECT FROM images o WHERE o.study_id = s.id AND o.id <> i.id)
      AND NOT EXISTS (SELECT FROM studies h WHERE h.uid_pseudonym = n.uid)
      AND NOT EXISTS (SELECT FROM object_keys o WHERE o.bucket = k.bucket AND o.key = k.key AND o.etag <> k.etag)
"""

_SETTLE = insert_jobs(
    "waiting",
    "'settle'",
    job="settle_id",
    subject="id",
    revision="revision",
    not_before="clock_timestamp() + make_interval(secs => delay)",
    returning="lane_rank, not_before IS NULL AS ready",
)
_WRITE = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
            image_id uuid, study_id uuid, job_id uuid, attempt int, epoch bigint, settle_id uuid, delay float,
            study_pseudonym text, patient_pseudonym text, patient_id_pseudonym text, accession_pseudonym text,
            sop_pseudonym text, view text, modality text, kind text, rows int, columns int, pixel_sha256 text,
            normalised_key text, normalised_sha256 text, preview_key text, preview_sha256 text, expected_images int,
            flags jsonb, origin int)
    ), pictures AS (
        UPDATE images SET state = 'accepted', view = n.view, modality = n.modality, kind = n.kind, rows = n.rows,
               columns = n.columns, sop_pseudonym = n.sop_pseudonym, pixel_sha256 = n.pixel_sha256,
               patient_pseudonym = n.patient_pseudonym, patient_id_pseudonym = n.patient_id_pseudonym,
               accession_pseudonym = n.accession_pseudonym, names_read = true,
               normalised_key = n.normalised_key, normalised_sha256 = n.normalised_sha256, preview_key = n.preview_key,
               preview_sha256 = n.preview_sha256,
               duplicate_of = NULL, flags = ARRAY(SELECT jsonb_array_elements_text(n.flags)), origin = n.origin,
               finished_at = clock_timestamp()
        FROM n WHERE images.id = n.image_id
    ), waiting AS (
        UPDATE studies SET state = 'waiting', revision = 1, last_image_at = clock_timestamp(),
               uid_pseudonym = n.study_pseudonym, patient_pseudonym = n.patient_pseudonym,
               patient_id_pseudonym = n.patient_id_pseudonym,
               accession_pseudonym = n.accession_pseudonym, expected_images = n.expected_images
        FROM n WHERE studies.id = n.study_id RETURNING studies.id, lane_rank, place, settle_id, revision, delay
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch)
        SELECT study_id, image_id, job_id, 'image accepted', 'ingest', attempt, epoch FROM n
    )
    {_SETTLE}
"""


def accept_plain(ledger: Ledger, work: Work, read: Sequence[tuple[Claim, "IngestedImage"]]) -> set[UUID]:
    """Write those of these images that are plain, inside the transaction that finishes their jobs.

    Returns:
        The ids of their jobs. The studies of the other images are locked as well.
    """
    plain = _plain(work, read)
    rows = [_row(ledger, claim, image, plain[claim.subject]) for claim, image in read if claim.subject in plain]
    if rows:
        for row in work.rows(_WRITE, {"rows": json.dumps(rows), "max_attempts": ledger.settings.max_attempts}):
            if row["ready"]:
                work.rings.append(Ring(JobKind.SETTLE, Lane.of_rank(row["lane_rank"])))
    return {claim.job_id for claim, _ in read if claim.subject in plain}


def _plain(work: Work, read: Sequence[tuple[Claim, "IngestedImage"]]) -> dict[UUID, UUID]:
    """The study of each plain image: of several images of a study, only the first can be plain."""
    ids, uids = [claim.subject for claim, _ in read], [image.study_pseudonym for _, image in read]
    first = dict(zip(reversed(uids), reversed(ids), strict=True))
    if any(uids):
        work.rows(_LOCK_UIDS, {"uids": [uid for uid in first if uid is not None]})
    work.rows(_LOCK_STUDIES, {"ids": ids})
    found = {row["id"]: row["study_id"] for row in work.rows(_PLAIN, {"ids": ids, "uids": uids})}
    return {
        image_id: found[image_id]
        for image_id, uid in zip(ids, uids, strict=True)
        if image_id in found and (uid is None or first[uid] == image_id)
    }


def _row(ledger: Ledger, claim: Claim, image: "IngestedImage", study_id: UUID) -> dict[str, Any]:
    whole = image.kind != "dicom" or (image.expected_images is not None and image.expected_images <= 1)
    return {
        **image.__dict__,
        "image_id": str(claim.subject),
        "study_id": str(study_id),
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "epoch": claim.epoch,
        "settle_id": str(new_id()),
        "delay": None if whole else ledger.settings.settle_seconds or None,
    }
