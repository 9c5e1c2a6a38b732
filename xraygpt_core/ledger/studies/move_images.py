"""Images leave a study that is another patient's, and take with them what was written about them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.timeline import by_person, note, person
from xraygpt_core.ledger.studies.compared import part
from xraygpt_core.ledger.studies.grouping import StudyHome, name_study, new_study, note_shared_uid, studies_of_uid
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Flag

_KEEP_NAMES = """
    UPDATE images SET patient_pseudonym = n.patient_pseudonym, patient_id_pseudonym = n.patient_id_pseudonym,
           accession_pseudonym = n.accession_pseudonym, names_read = true
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        image_id uuid, patient_pseudonym text, patient_id_pseudonym text, accession_pseudonym text)
    WHERE images.id = n.image_id AND NOT names_read AND pixel_sha256 IS NOT NULL
"""

# The provisional study an image came with: its sender knows that id. One that another image came with, too, stays.
_CAME_AS = """
    SELECT a.id FROM studies a
    WHERE a.alias_of = :old AND EXISTS (
        SELECT FROM timeline t WHERE t.study_id = a.id AND t.image_id = ANY(CAST(:images AS uuid[])))
      AND NOT EXISTS (
        SELECT FROM timeline t JOIN images i ON i.id = t.image_id
        WHERE t.study_id = a.id AND i.study_id = :old AND i.id <> ALL(CAST(:images AS uuid[])))
    ORDER BY a.id
"""

_MOVE_ALIASES = "UPDATE studies SET alias_of = :new WHERE id = ANY(CAST(:ids AS uuid[])) AND id <> :new"

_STOP = """
    UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp()
    WHERE subject = :old AND kind = 'summarise' AND state IN ('queued', 'running', 'dead')
"""

# In this order: turns are found by their summaries, and both by their images.
_MOVE = (
    """
    UPDATE chat_turns SET study_id = :new,
           position = position + COALESCE((SELECT max(position) FROM chat_turns WHERE study_id = :new), 0)
    WHERE study_id = :old
      AND summary_id IN (SELECT id FROM summaries
                         WHERE study_id = :old AND image_id = ANY(CAST(:images AS uuid[])))
    """,
    """
    UPDATE summaries SET study_id = :new, superseded_at = COALESCE(superseded_at, clock_timestamp()),
           prior_image = NULL,
           lateral_image = CASE WHEN lateral_image = ANY(CAST(:images AS uuid[])) THEN lateral_image END
    WHERE study_id = :old AND image_id = ANY(CAST(:images AS uuid[]))
    """,
    "UPDATE timeline SET study_id = :new WHERE study_id = :old AND image_id = ANY(CAST(:images AS uuid[]))",
    "UPDATE images SET study_id = :new WHERE id = ANY(CAST(:images AS uuid[]))",
    """
    UPDATE studies SET chosen_image = NULL, view = NULL, flags = '{}'
    WHERE id = :old AND chosen_image = ANY(CAST(:images AS uuid[]))
    """,
)

# What was one instance, or two under one UID, only because two patients' images lay in one study.
_TWINS = (
    """
    UPDATE images SET duplicate_of = NULL FROM images o
    WHERE images.study_id = ANY(CAST(:ids AS uuid[])) AND o.id = images.duplicate_of AND o.study_id <> images.study_id
    """,
    """
    UPDATE images SET flags = array_remove(flags, :flag)
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND :flag = ANY(flags) AND NOT EXISTS (
        SELECT FROM images o WHERE o.study_id = images.study_id AND o.sop_pseudonym = images.sop_pseudonym
          AND o.pixel_sha256 <> images.pixel_sha256)
    """,
)

NAMES = """
    SELECT id, names_read, patient_pseudonym, patient_id_pseudonym, accession_pseudonym FROM images
    WHERE study_id = :id AND pixel_sha256 IS NOT NULL ORDER BY id
"""

# What a person cancelled stays so when it is taken out of the study.
_CLOSE = """
    UPDATE studies SET state = o.state, reason_code = o.reason_code, finished_at = o.finished_at
    FROM studies o WHERE studies.id = :new AND o.id = :old
"""
_COPY_CANCELLED = """
    INSERT INTO timeline (study_id, what, who, at, detail)
    SELECT :new, what, who, at, detail FROM timeline WHERE study_id = :old AND what = 'cancelled' ORDER BY id
"""


def store_names(work: Work, names: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Store the names that images carry, where they are not stored yet."""
    rows = [{"image_id": str(image_id), **named} for image_id, named in names.items()]
    work.run(_KEEP_NAMES, {"rows": json.dumps(rows)})


def move_images(
    ledger: Ledger, work: Work, study: RowMapping, groups: Sequence[tuple[UUID | None, Sequence[UUID]]]
) -> None:
    """Move these images out of the study, which is locked with all others of its StudyInstanceUID, and call each study
    after what its images say.

    Args:
        study: id, uid_pseudonym, accession_pseudonym, state, reason_code, lane_rank and place.
        groups: where they go (None: a study of their own), and which.
    """
    if not groups:
        _name(work, study["id"], study)
        return
    work.run(_STOP, {"old": study["id"]})  # it would write about an image that is no longer here
    stopped = study["state"] == "cancelled" and study["reason_code"] is None
    touched, elsewhere = [study["id"]], set[UUID]()
    for home, image_ids in groups:
        came_as = [row["id"] for row in work.rows(_CAME_AS, {"old": study["id"], "images": list(image_ids)})]
        new = home or _own_study(work, study, came_as)
        work.run(_MOVE_ALIASES, {"new": new, "ids": came_as})
        compared = part(work, image_ids, study["id"])
        for sql in _MOVE:
            work.run(sql, {"old": study["id"], "new": new, "images": list(image_ids)})
        _name(work, new, study)
        _note_move(work, study["id"], new, image_ids)
        if stopped and home is None:
            work.run(_CLOSE, {"old": study["id"], "new": new})
            work.run(_COPY_CANCELLED, {"old": study["id"], "new": new})
        touched.append(new)
        elsewhere |= compared
    for sql in _TWINS:
        work.run(sql, {"ids": touched, "flag": Flag.SOP_UID_REUSED})
    _name_anew(work, study)
    if study["uid_pseudonym"] is not None:
        ids = [one for one, _ in studies_of_uid(work, study["uid_pseudonym"])]
        note_shared_uid(work, StudyHome(study["id"], tuple(one for one in ids if one != study["id"]), first=True))
    for study_id in [*(touched if not stopped else ()), *sorted(elsewhere - {*touched})]:
        revise(ledger, work, study_id, wait=False)


def _note_move(work: Work, old: UUID, new: UUID, image_ids: Sequence[UUID]) -> None:
    images = {"images": [str(one) for one in image_ids]}
    for study_id, what in ((old, "images taken out"), (new, "images came from another patient's study")):
        note(work, study_id, what, who=person(work), detail=images | by_person(work))
        record(work, what, study=study_id, detail=images)


def _own_study(work: Work, study: RowMapping, came_as: Sequence[UUID]) -> UUID:
    """A study for images that leave: under the id their sender was given, if there is one."""
    if not came_as:
        return new_study(work, study["lane_rank"], study["place"])
    work.run(
        "UPDATE studies SET alias_of = NULL, lane_rank = :rank, place = :place WHERE id = :id",
        {"id": came_as[0], "rank": study["lane_rank"], "place": study["place"]},
    )
    return came_as[0]


def _name(work: Work, study_id: UUID, study: RowMapping) -> None:
    for row in work.rows(NAMES, {"id": study_id}):
        if row["names_read"]:
            name_study(work, study_id, {**row, "study_pseudonym": study["uid_pseudonym"]})


def _name_anew(work: Work, study: RowMapping) -> None:
    """What is left is called after its own images. Of images that do not say so, the study's names may be."""
    left = work.rows(NAMES, {"id": study["id"]})
    known = {row["accession_pseudonym"] for row in left}
    if all(row["names_read"] for row in left) and study["accession_pseudonym"] not in known:
        work.run("UPDATE studies SET accession_pseudonym = NULL WHERE id = :id", {"id": study["id"]})
    work.run("UPDATE studies SET other_pseudonyms = '{}' WHERE id = :id", {"id": study["id"]})
    _name(work, study["id"], study)
