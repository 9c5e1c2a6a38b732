"""Studies that older versions made of two patients who share a StudyInstanceUID are taken apart.

Older versions did not store the patient of each image, so that is read again from the objects; then each image goes
where it would have gone on its arrival, with what was written about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.grouping import lock_uid, studies_of_uid
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.studies.move_images import NAMES, move_images, store_names
from xraygpt_core.ledger.studies.patient import Patient, patient_of, study_for
from xraygpt_core.ledger.transaction import Ledger, Work

# Of several images that were read, the names of at least one are not stored.
_SUSPECTS = """
    SELECT s.id FROM studies s
    WHERE s.id > :after AND s.alias_of IS NULL AND s.purged_at IS NULL
      AND EXISTS (SELECT FROM images i WHERE i.study_id = s.id AND i.pixel_sha256 IS NOT NULL AND NOT i.names_read)
      AND (SELECT count(*) FROM (SELECT FROM images i WHERE i.study_id = s.id AND i.pixel_sha256 IS NOT NULL LIMIT 2)
           AS two) = 2
    ORDER BY s.id LIMIT :limit
"""

_UNREAD = """
    SELECT k.image_id, k.bucket, k.key, k.etag, k.version_id
    FROM images i JOIN object_keys k ON k.image_id = i.id
    WHERE i.study_id = :id AND i.pixel_sha256 IS NOT NULL AND NOT i.names_read ORDER BY i.id
"""

_STUDY = """
    SELECT id, uid_pseudonym, patient_pseudonym, patient_id_pseudonym, accession_pseudonym, state, reason_code,
           lane_rank, place
    FROM studies WHERE id = :id AND alias_of IS NULL AND purged_at IS NULL
"""


@dataclass(frozen=True)
class Names:
    """The patient and the accession number in the header of one image; all of them HMACs."""

    patient_pseudonym: str | None
    patient_id_pseudonym: str | None
    accession_pseudonym: str | None


@dataclass(frozen=True)
class Group:
    """Images that leave a study together.

    Attributes:
        study_id: where they go; None makes a study of their own.
    """

    study_id: UUID | None
    image_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class Split:
    """What becomes of a study: the images that stay, and those that leave."""

    study_id: UUID
    stay: tuple[UUID, ...]
    leave: tuple[Group, ...]


def suspects(ledger: Ledger, *, after: UUID, limit: int = 100) -> list[UUID]:
    """Studies of several images some of whose names are not stored, by id; ``after`` is the last one before."""
    with ledger.work() as work:
        return [row["id"] for row in work.rows(_SUSPECTS, {"after": after, "limit": limit})]


def unread_images(ledger: Ledger, study_id: UUID) -> list[IngestInput]:
    """The objects whose headers have the names that are not stored."""
    with ledger.work() as work:
        return [IngestInput(**row) for row in work.rows(_UNREAD, {"id": study_id})]


def split_study(ledger: Ledger, study_id: UUID, read: Mapping[UUID, Names], *, apply: bool) -> Split:
    """Find, and with ``apply`` separate, the images that name another patient than the study's.

    An image that could not be read stays where it is. A study left by an image, and one that gets it, are settled and
    summarised anew; a text goes with its image, and is no longer current.

    Args:
        read: the names of those images.
    """

    def body(work: Work) -> Split:
        study = _locked(work, study_id)
        if study is None:
            return Split(study_id, (), ())
        if apply:
            store_names(work, {image_id: names.__dict__ for image_id, names in read.items()})
        rows = work.rows(NAMES, {"id": study_id})
        named = {row["id"]: patient_of(row) for row in rows if row["names_read"]}
        named |= {row["id"]: patient_of(read[row["id"]].__dict__) for row in rows if row["id"] in read}
        uid = study["uid_pseudonym"]
        others = [one for one in studies_of_uid(work, uid) if one[0] != study_id] if uid is not None else []
        leave = _leaving(study_id, patient_of(study), others, sorted(named.items()))
        gone = {image_id for group in leave for image_id in group.image_ids}
        if apply:
            move_images(ledger, work, study, [(group.study_id, group.image_ids) for group in leave])
        return Split(study_id, tuple(row["id"] for row in rows if row["id"] not in gone), tuple(leave))

    return repeating(ledger, body)


def _locked(work: Work, study_id: UUID) -> RowMapping | None:
    """The study, locked as by a worker that brings an image of it; None if it is gone."""
    study = work.row(_STUDY, {"id": study_id})
    if study is not None:
        lock_uid(work, study["uid_pseudonym"])
        study = work.row(f"{_STUDY} FOR UPDATE", {"id": study_id})
    return study


def _leaving(
    study_id: UUID, owner: Patient, others: Sequence[tuple[UUID, Patient]], images: Sequence[tuple[UUID, Patient]]
) -> list[Group]:
    """Which images go where: each as if it came now, the first ones first, but for those that are in the right place.

    Args:
        owner: whose the study is: the first patient that came.
        others: the other studies of the same StudyInstanceUID.
    """
    owner = next((who for _, who in images if who.pseudonym == owner.pseudonym), owner)
    owners = {study_id: owner, **dict(others)}
    new: set[UUID] = set()
    leave: dict[UUID, list[UUID]] = {}
    for image_id, who in images:
        exact = [one for one, other in owners.items() if other.pseudonym == who.pseudonym is not None]
        if not owners[study_id].contradicts(who) and (not exact or study_id in exact):
            home = study_id
        else:
            home = exact[0] if exact else study_for(who, sorted(owners.items())) or new_id()
            if home not in owners:
                new.add(home)
            leave.setdefault(home, []).append(image_id)
        if home not in owners or owners[home].becomes(who):
            owners[home] = who
    return [Group(None if home in new else home, tuple(ids)) for home, ids in leave.items()]
