"""Which study an image belongs to. Every object starts in a provisional study; its header says where it belongs."""

from typing import TYPE_CHECKING
from uuid import UUID

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Work
from xraygpt_core.ledger.fallout import lock_study_of
from xraygpt_core.ledger.worklist import raise_drafts
from xraygpt_core.states import Flag

if TYPE_CHECKING:
    from xraygpt_core.ledger.ingest import IngestedImage

_TWIN = """
    SELECT id, pixel_sha256 = :pixel_sha256 AS same FROM images
    WHERE study_id = :study_id AND sop_pseudonym = :sop_pseudonym AND id <> :image_id AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM images o WHERE o.id = images.duplicate_of AND o.state = 'accepted')
    ORDER BY id
"""

_TOUCH = """
    UPDATE studies SET last_image_at = clock_timestamp(),
           uid_pseudonym = COALESCE(uid_pseudonym, :study_pseudonym),
           patient_pseudonym = COALESCE(patient_pseudonym, :patient_pseudonym),
           accession_pseudonym = COALESCE(accession_pseudonym, :accession_pseudonym),
           expected_images = GREATEST(expected_images, :expected_images)
    WHERE id = :study_id
"""


def lock_group(work: Work, image_id: UUID, study_pseudonym: str | None) -> UUID:
    """Lock the study the image is in, and everybody else who brings an image of the same study. Returns the study.

    Raises:
        LeaseLost: the image was purged.
    """
    if study_pseudonym is not None:
        work.row("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))", {"uid": study_pseudonym})
    study_id = lock_study_of(work, image_id)
    if study_id is None:
        raise LeaseLost(f"image {image_id} was purged")
    return study_id


def belongs_to(work: Work, provisional: UUID, image: "IngestedImage") -> UUID:
    """The study this image belongs to, locked. If it is not the provisional one, that becomes its alias, unless it was
    a study of its own before (its object was overwritten): then it keeps its history, and only this image moves.
    """
    if image.study_pseudonym is None:
        return provisional
    home = work.row("SELECT id FROM studies WHERE uid_pseudonym = :uid FOR UPDATE", {"uid": image.study_pseudonym})
    mine = work.row("SELECT uid_pseudonym, lane_rank, revision FROM studies WHERE id = :id", {"id": provisional})
    if home is None:
        if mine is None or mine["uid_pseudonym"] is None:
            return provisional
        # An object that was overwritten with an image of another study: that study is a new one.
        return _new_study(work, mine["lane_rank"])
    home_id: UUID = home["id"]
    if home_id != provisional and mine is not None:
        mine_is_urgent = "UPDATE studies SET lane_rank = :rank WHERE id = :id AND lane_rank > :rank"
        if work.run(mine_is_urgent, {"id": home_id, "rank": mine["lane_rank"]}):
            raise_drafts(work, [home_id], mine["lane_rank"])
        if mine["uid_pseudonym"] is None and mine["revision"] == 0:
            work.run(
                "UPDATE studies SET alias_of = :home, state = 'received' WHERE id = :id",
                {"home": home_id, "id": provisional},
            )
            work.run("UPDATE images SET study_id = :home WHERE study_id = :id", {"home": home_id, "id": provisional})
    return home_id


def attach(work: Work, study_id: UUID, image_id: UUID, image: "IngestedImage") -> None:
    """Give the study what this image knows: pseudonyms, the expected count, and the same SOPInstanceUID seen before."""
    values = {**image.__dict__, "study_id": study_id, "image_id": image_id}
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


def _new_study(work: Work, lane_rank: int) -> UUID:
    study_id = new_id()
    work.run(
        "INSERT INTO studies (id, lane_rank, state) VALUES (:id, :lane_rank, 'received')",
        {"id": study_id, "lane_rank": lane_rank},
    )
    return study_id
