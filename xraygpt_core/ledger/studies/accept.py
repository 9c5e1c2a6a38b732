"""Read images join their studies, which are then to be settled: many images in one transaction.

Nearly every image of a backlog is plain: it is the only image of its study, and its object never held anything else.
All plain images are written by one statement. Each other image finds its study (:mod:`.grouping`), takes the place of
an older content of its object (:mod:`.end_image`), and makes a new revision of its study (:mod:`.revise`).
Which images are plain is decided after the locks are taken, so it stays true until the commit.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import Claim, fenced_many
from xraygpt_core.ledger.studies.choose_image import SURELY_FRONTAL
from xraygpt_core.ledger.studies.compared import part_and_revise, reconsider_all_of
from xraygpt_core.ledger.studies.end_image import end_image, newer_was_read, replace_older
from xraygpt_core.ledger.studies.grouping import attach, find_study, lock_group, note_shared_uid
from xraygpt_core.ledger.studies.header_names import keep_sealed
from xraygpt_core.ledger.studies.images import IngestedImage, IngestInput
from xraygpt_core.ledger.studies.rename_pseudonyms import rename
from xraygpt_core.ledger.studies.reopen import reopen_for_read
from xraygpt_core.ledger.studies.request_words import words_join
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane, ReasonCode

ReadImage = tuple[Claim, IngestedImage]

_INPUTS = """
    SELECT image_id, bucket, key, etag, version_id FROM object_keys WHERE image_id = ANY(CAST(:ids AS uuid[]))
"""

# As lock_group does for one image: first the StudyInstanceUIDs, then the studies.
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

# The rows of the images and their steps on the timeline: of every accepted image, plain or not.
_ACCEPT = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
            image_id uuid, study_id uuid, job_id uuid, attempt int, epoch bigint, settle_id uuid, delay float,
            study_pseudonym text, patient_pseudonym text, patient_id_pseudonym text, accession_pseudonym text,
            sop_pseudonym text, view text, modality text, kind text, rows int, columns int, pixel_sha256 text,
            normalised_key text, normalised_sha256 text, preview_key text, preview_sha256 text, expected_images int,
            flags jsonb, origin int, acquired_on date, acquired_time time, laterality text, spacing_mm real[],
            spacing_at text, deep_key text, deep_sha256 text, deep_scale float[], deep_window float[],
            clinical_key text, clinical_sha256 text)
    ), pictures AS (
        UPDATE images SET state = 'accepted', study_id = n.study_id, view = n.view, modality = n.modality,
               kind = n.kind, rows = n.rows, columns = n.columns, sop_pseudonym = n.sop_pseudonym,
               pixel_sha256 = n.pixel_sha256, patient_pseudonym = n.patient_pseudonym,
               patient_id_pseudonym = n.patient_id_pseudonym, accession_pseudonym = n.accession_pseudonym,
               names_read = true, normalised_key = n.normalised_key, normalised_sha256 = n.normalised_sha256,
               preview_key = n.preview_key, preview_sha256 = n.preview_sha256, duplicate_of = NULL,
               clinical_key = n.clinical_key, clinical_sha256 = n.clinical_sha256,
               flags = ARRAY(SELECT jsonb_array_elements_text(n.flags)), origin = n.origin,
               acquired_on = n.acquired_on, acquired_time = n.acquired_time, laterality = n.laterality,
               spacing_mm = n.spacing_mm, spacing_at = n.spacing_at, facts_read = true, deep_key = n.deep_key,
               deep_sha256 = n.deep_sha256, deep_scale = n.deep_scale, deep_window = n.deep_window,
               finished_at = clock_timestamp()
        FROM n WHERE images.id = n.image_id
        RETURNING images.id AS image_id, {SURELY_FRONTAL.format(image="images")} AS frontal
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch)
        SELECT study_id, image_id, job_id, 'image accepted', 'ingest', attempt, epoch FROM n
    )
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
_ACCEPT_ONE = f"{_ACCEPT} SELECT"
_ACCEPT_PLAIN = f"""{_ACCEPT}, waiting AS (
        UPDATE studies SET state = 'waiting', revision = 1, last_image_at = clock_timestamp(),
               uid_pseudonym = n.study_pseudonym, patient_pseudonym = n.patient_pseudonym,
               patient_id_pseudonym = n.patient_id_pseudonym, accession_pseudonym = n.accession_pseudonym,
               expected_images = n.expected_images
        FROM n JOIN pictures USING (image_id) WHERE studies.id = n.study_id
        RETURNING studies.id, lane_rank, place, settle_id, revision,
                  CASE WHEN lane_rank = {Lane.STAT.rank} AND frontal THEN NULL ELSE delay END AS delay
    )
    {_SETTLE}
"""


def ingest_inputs(ledger: Ledger, claims: Sequence[Claim]) -> dict[UUID, IngestInput]:
    """The objects these claims are about, by image; a purged one is missing."""
    with ledger.work() as work:
        rows = work.rows(_INPUTS, {"ids": [claim.subject for claim in claims]})
    return {row["image_id"]: IngestInput(**row) for row in rows}


def complete_ingests(ledger: Ledger, read: Sequence[ReadImage]) -> set[UUID]:
    """Put read images into their studies and ask for those to be settled, all in one transaction.

    Returns:
        The ids of the jobs that were finished; nothing was written for the others, whose leases were lost.
    """

    def body(work: Work, held: Collection[UUID]) -> None:
        mine = [(claim, image) for claim, image in read if claim.job_id in held]
        # An image that renames pseudonyms does so before its study is looked for, so it is not plain.
        simple = [(claim, image) for claim, image in mine if not image.renamed]
        plain = accept_plain(ledger, work, simple) if simple else set()
        for claim, image in mine:
            if claim.job_id not in plain:
                rename(work, image.study_pseudonym, image.renamed, claim.subject)
                accept_one(ledger, work, claim, image)
        keep_sealed(work, {claim.subject: image.sealed for claim, image in mine if image.sealed})

    return fenced_many(ledger, [claim for claim, _ in read], body)


def accept_plain(ledger: Ledger, work: Work, read: Sequence[ReadImage]) -> set[UUID]:
    """Accept those of these images that are plain, inside the transaction that finishes their jobs.

    Returns:
        The ids of their jobs. The studies of the other images are locked as well.
    """
    plain = _plain(work, read)
    mine = [(claim, image) for claim, image in read if claim.subject in plain]
    if mine:
        rows = [_row(claim, image, plain[claim.subject]) | _settle_job(ledger, image) for claim, image in mine]
        for job in work.rows(_ACCEPT_PLAIN, {"rows": _document(rows), "max_attempts": ledger.settings.max_attempts}):
            if job["ready"]:
                work.rings.append(Ring(JobKind.SETTLE, Lane.of_rank(job["lane_rank"])))
    return {claim.job_id for claim, _ in mine}


def accept_one(ledger: Ledger, work: Work, claim: Claim, image: IngestedImage) -> None:
    """Accept any image, inside the transaction that finishes its job.

    It ends as replaced if a newer content of its object was read before it.
    """
    provisional = lock_group(work, claim.subject, image.study_pseudonym)
    if newer_was_read(work, claim.subject):
        end_image(work, claim, provisional, "cancelled", ReasonCode.REPLACED)
        return
    home = find_study(work, provisional, image)
    study_id = home.study_id
    work.run(_ACCEPT_ONE, {"rows": _document([_row(claim, image, study_id)])})
    replaced = replace_older(work, claim.subject)
    attach(work, study_id, claim.subject, image)
    note_shared_uid(work, home, claim)
    is_dicom = image.kind == "dicom"
    if not revise(ledger, work, study_id, wait=is_dicom) and reopen_for_read(work, study_id, claim.subject):
        revise(ledger, work, study_id, wait=is_dicom)
    words_join(work, study_id, claim.subject)
    gone = {image_id: other for image_id, other in replaced.items() if other != study_id}
    for other in sorted({*gone.values()}):
        revise(ledger, work, other, wait=False)
    part_and_revise(ledger, work, gone)
    if home.renamed:
        reconsider_all_of(ledger, work, study_id)


def _plain(work: Work, read: Sequence[ReadImage]) -> dict[UUID, UUID]:
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


def _row(claim: Claim, image: IngestedImage, study_id: UUID) -> dict[str, Any]:
    return {
        **image.__dict__,
        **image.facts.__dict__,
        "image_id": str(claim.subject),
        "study_id": str(study_id),
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "epoch": claim.epoch,
    }


def _document(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON; day and time as ISO 8601 writes them."""
    return json.dumps([row | {"facts": None} for row in rows], default=lambda moment: moment.isoformat())


def _settle_job(ledger: Ledger, image: IngestedImage) -> dict[str, Any]:
    """The settle job of a study whose first image this is."""
    complete = image.kind != "dicom" or (image.expected_images is not None and image.expected_images <= 1)
    return {"settle_id": str(new_id()), "delay": None if complete else ledger.settings.settle_seconds or None}
