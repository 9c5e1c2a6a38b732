"""Which study an image belongs to. Every object starts in a provisional study; its header says where it belongs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.outcomes import lock_study_of
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.follow_people import follow
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.patient import Patient, patient_of, study_for
from xraygpt_core.ledger.studies.raise_drafts import raise_drafts
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import Flag

_TWIN = """
    SELECT id, pixel_sha256 = :pixel_sha256 AS same FROM images
    WHERE study_id = :study_id AND sop_pseudonym = :sop_pseudonym AND id <> :image_id AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM images o WHERE o.id = images.duplicate_of AND o.state = 'accepted')
    ORDER BY id
"""

# Whose study it is once this image is in it, as in patient.py: an issuer is learnt, never forgotten.
_PATIENT = """
    CASE WHEN patient_pseudonym IS NULL OR patient_pseudonym = CAST(:patient_id_pseudonym AS text)
         THEN CAST(:patient_pseudonym AS text) ELSE patient_pseudonym END
"""
_ACCESSION = "COALESCE(accession_pseudonym, CAST(:accession_pseudonym AS text))"

_NAME = f"""
    UPDATE studies SET
           uid_pseudonym = COALESCE(uid_pseudonym, :study_pseudonym),
           patient_pseudonym = {_PATIENT},
           patient_id_pseudonym = CASE
               WHEN patient_pseudonym IS NULL OR patient_pseudonym IN (:patient_pseudonym, :patient_id_pseudonym)
               THEN COALESCE(CAST(:patient_id_pseudonym AS text), patient_id_pseudonym) ELSE patient_id_pseudonym END,
           accession_pseudonym = {_ACCESSION},
           other_pseudonyms = ARRAY(
               SELECT DISTINCT name FROM unnest(other_pseudonyms || ARRAY[
                   patient_pseudonym, CAST(:patient_pseudonym AS text), CAST(:accession_pseudonym AS text)]) AS name
               WHERE name IS NOT NULL AND name IS DISTINCT FROM {_PATIENT} AND name IS DISTINCT FROM {_ACCESSION}
               ORDER BY name)
    WHERE id = :study_id
"""

_TOUCH = """
    UPDATE studies SET last_image_at = clock_timestamp(), expected_images = GREATEST(expected_images, :expected_images)
    WHERE id = :study_id
"""

_OF_UID = """
    SELECT id, patient_pseudonym, patient_id_pseudonym FROM studies WHERE uid_pseudonym = :uid ORDER BY id FOR UPDATE
"""

_MINE = """
    SELECT uid_pseudonym, patient_pseudonym, patient_id_pseudonym, lane_rank, place, revision
    FROM studies WHERE id = :id
"""

# An image keeps its flag, so each settling finds it again; what is settled already shows it from now on.
_SHARED = """
    WITH pictures AS (
        UPDATE images SET flags = array_append(flags, :flag)
        WHERE study_id = ANY(CAST(:ids AS uuid[])) AND state = 'accepted' AND NOT :flag = ANY(flags)
    )
    UPDATE studies SET flags = array_append(flags, :flag)
    WHERE id = ANY(CAST(:ids AS uuid[])) AND chosen_image IS NOT NULL AND NOT :flag = ANY(flags)
"""


@dataclass(frozen=True)
class StudyHome:
    """Where an image belongs.

    Attributes:
        others: the studies of other patients that carry the same StudyInstanceUID.
        first: this image is the first of its patient among them.
        renamed: its patient, who is known, is known by an issuer, too, from this image on.
    """

    study_id: UUID
    others: tuple[UUID, ...] = ()
    first: bool = False
    renamed: bool = False


def lock_uid(work: Work, study_pseudonym: str | None) -> None:
    """Let one transaction at a time bring an image of this StudyInstanceUID, or change which study is whose."""
    if study_pseudonym is not None:
        work.row("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))", {"uid": study_pseudonym})


def lock_group(work: Work, image_id: UUID, study_pseudonym: str | None) -> UUID:
    """Lock the study the image is in, and its StudyInstanceUID (:func:`lock_uid`). Returns the study.

    Raises:
        LeaseLost: the image was purged.
    """
    lock_uid(work, study_pseudonym)
    study_id = lock_study_of(work, image_id)
    if study_id is None:
        raise LeaseLost(f"image {image_id} was purged")
    return study_id


def find_study(work: Work, provisional: UUID, image: IngestedImage) -> StudyHome:
    """The study this image belongs to, locked. If it is not the provisional one, that becomes its alias, unless it was
    a study of its own before (its object was overwritten): then it keeps its history, and only this image moves.
    """
    patient = patient_of(image.__dict__)
    mine = work.row(_MINE, {"id": provisional})
    assert mine is not None, "it is locked"
    if image.study_pseudonym is None:
        return _without_uid(work, provisional, mine, patient)
    studies = studies_of_uid(work, image.study_pseudonym)
    home_id = study_for(patient, studies)
    if home_id is None:
        # Of an object that was overwritten with an image of another study, or patient: that is a study of its own.
        # A patient whose study that is would become another's, or this one get a second study under one UID.
        free = mine["uid_pseudonym"] is None and patient_of(mine).becomes(patient)
        study_id = provisional if free else new_study(work, mine["lane_rank"], mine["place"])
        return StudyHome(
            study_id, _others(studies, study_id), first=True, renamed=free and patient_of(mine).learns(patient)
        )
    if home_id != provisional:
        _move(work, provisional, home_id, mine)
    owner = dict(studies)[home_id]
    return StudyHome(home_id, _others(studies, home_id), renamed=owner.learns(patient))


def studies_of_uid(work: Work, uid: str) -> list[tuple[UUID, Patient]]:
    """The studies of this StudyInstanceUID, locked, oldest first, and whose they are."""
    return [(row["id"], patient_of(row)) for row in work.rows(_OF_UID, {"uid": uid})]


def _without_uid(work: Work, provisional: UUID, mine: RowMapping, patient: Patient) -> StudyHome:
    """An image that names no study stays in the study of its object, unless that is another patient's."""
    uid, owner = mine["uid_pseudonym"], patient_of(mine)
    if not (owner.stays(patient) or (uid is None and owner.becomes(patient))):
        return StudyHome(new_study(work, mine["lane_rank"], mine["place"]))
    others = _others(studies_of_uid(work, uid), provisional) if uid is not None else ()
    return StudyHome(provisional, others, renamed=owner.learns(patient))


def _others(studies: Sequence[tuple[UUID, Patient]], study_id: UUID) -> tuple[UUID, ...]:
    return tuple(one for one, _ in studies if one != study_id)


def _move(work: Work, provisional: UUID, home_id: UUID, mine: RowMapping) -> None:
    mine_is_urgent = "UPDATE studies SET lane_rank = :rank, place = :place WHERE id = :id AND lane_rank > :rank"
    if work.run(mine_is_urgent, {"id": home_id, "rank": mine["lane_rank"], "place": mine["place"]}):
        raise_drafts(work, [home_id], mine["lane_rank"])
    if mine["uid_pseudonym"] is None and mine["revision"] == 0:
        work.run(
            "UPDATE studies SET alias_of = :home, state = 'received' WHERE id = :id",
            {"home": home_id, "id": provisional},
        )
        work.run("UPDATE images SET study_id = :home WHERE study_id = :id", {"home": home_id, "id": provisional})
        follow(work, provisional, home_id)


def name_study(work: Work, study_id: UUID, names: Mapping[str, Any]) -> None:
    """Give the study what one of its images is called: ``study_pseudonym``, ``patient_pseudonym``,
    ``patient_id_pseudonym`` and ``accession_pseudonym``. The first names stay, later ones stand beside them.
    """
    work.run(_NAME, {**names, "study_id": study_id})


def note_shared_uid(work: Work, home: StudyHome, claim: Claim | None = None) -> None:
    """Flag every image of these studies, and note on their timelines, that they share a StudyInstanceUID."""
    if not home.others:
        return
    ids = [home.study_id, *home.others]
    work.run(_SHARED, {"ids": ids, "flag": Flag.STUDY_UID_SHARED})
    for study_id in ids if home.first else ():
        mine = claim if study_id == home.study_id else None
        detail = {"studies": [str(one) for one in ids if one != study_id]}
        note(work, study_id, "study UID shared", claim=mine, detail=detail)


def attach(work: Work, study_id: UUID, image_id: UUID, image: IngestedImage) -> None:
    """Give the study what this image knows: pseudonyms, the expected count, and the same SOPInstanceUID seen before."""
    values = {**image.__dict__, "study_id": study_id, "image_id": image_id}
    name_study(work, study_id, image.__dict__)
    work.run(_TOUCH, values)
    if image.sop_pseudonym is None:
        return
    twins = work.rows(_TWIN, values)
    same = next((twin["id"] for twin in twins if twin["same"]), None)
    if same is not None:
        work.run("UPDATE images SET duplicate_of = :same WHERE id = :id", {"same": same, "id": image_id})
    elif twins:
        work.run(
            "UPDATE images SET flags = array_append(flags, :flag) "
            "WHERE id = ANY(CAST(:ids AS uuid[])) AND NOT :flag = ANY(flags)",
            {"flag": Flag.SOP_UID_REUSED, "ids": [image_id, *(twin["id"] for twin in twins)]},
        )


def new_study(work: Work, lane_rank: int, place: int) -> UUID:
    """A study without anything in it."""
    study_id = new_id()
    work.run(
        "INSERT INTO studies (id, lane_rank, place, state) VALUES (:id, :lane_rank, :place, 'received')",
        {"id": study_id, "lane_rank": lane_rank, "place": place},
    )
    return study_id
