"""Is the study whole, and which of its images is summarised? The frontal one, and of several the best."""

import json
from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import add_job, insert_jobs
from xraygpt_core.ledger.jobs.fence import Claim, fenced_many, lease_lost
from xraygpt_core.ledger.jobs.outcomes import close_if_nothing_is_left
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.choose_image import choose
from xraygpt_core.ledger.training.serving import served_in
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane, ReasonCode, StudyState

_STUDIES = """
    SELECT s.id, s.revision, s.lane_rank, m.image_id AS summarised_image, m.bundle
    FROM studies s LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
    WHERE s.id = ANY(CAST(:ids AS uuid[])) AND s.state <> 'cancelled' ORDER BY s.id
"""

_CANDIDATES = """
    SELECT study_id, id, view, origin, flags, rows * columns AS area, pixel_sha256 FROM images
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM images o WHERE o.id = images.duplicate_of AND o.state = 'accepted')
    ORDER BY study_id, id
"""

_GROW = """
    UPDATE studies SET revision = revision + 1, state = 'waiting', reason_code = NULL, finished_at = NULL
    WHERE id = :id AND (state <> 'cancelled' OR reason_code = 'replaced')
    RETURNING revision, lane_rank, place, expected_images,
              (SELECT count(*) FROM images WHERE study_id = :id AND state = 'accepted' AND duplicate_of IS NULL) AS read
"""

_SUMMARISE = insert_jobs(
    "chosen WHERE NOT same",
    "'summarise'",
    job="summarise_id",
    subject="study_id",
    revision="revision",
    bundle="bundle",
    returning="lane_rank",
)
_WRITE = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
            study_id uuid, image_id uuid, view text, flags jsonb, same boolean, summarise_id uuid, revision int,
            bundle text, job_id uuid, attempt int, epoch bigint)
    ), chosen AS (
        UPDATE studies SET chosen_image = n.image_id, view = n.view, reason_code = NULL,
               flags = ARRAY(SELECT jsonb_array_elements_text(n.flags)),
               state = CASE WHEN n.same THEN 'summarised' ELSE 'queued' END,
               finished_at = CASE WHEN n.same THEN clock_timestamp() END
        FROM n WHERE studies.id = n.study_id RETURNING n.*, lane_rank, place
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
        SELECT study_id, image_id, job_id, 'settled', 'settle', attempt, epoch, jsonb_build_object('view', view) FROM n
    )
    {_SUMMARISE}
"""

_CHOOSE = """
    UPDATE studies SET chosen_image = :image, view = :view, flags = :flags, state = :state, reason_code = :reason,
           finished_at = CASE WHEN :terminal THEN clock_timestamp() END
    WHERE id = :id
"""


def reconsider(ledger: Ledger, work: Work, study_id: UUID, *, quiet: bool) -> bool:
    """An image came, went or was replaced: the study has a new revision, which is to be settled.

    Args:
        quiet: wait ``settle_seconds`` for the rest of the study, unless the header's count says it is complete.
            A bare picture has no rest.

    Returns:
        False if the study was cancelled: nothing is settled.
    """
    study = work.row(_GROW, {"id": study_id})
    if study is None:
        return False
    complete = study["expected_images"] is not None and study["read"] >= study["expected_images"]
    add_job(
        work,
        JobKind.SETTLE,
        study_id,
        Lane.of_rank(study["lane_rank"]),
        max_attempts=ledger.settings.max_attempts,
        revision=study["revision"],
        place=study["place"],
        delay=ledger.settings.settle_seconds if quiet and not complete else None,
    )
    return True


def settle(ledger: Ledger, claim: Claim) -> None:
    """Choose the image and ask for a summary, if this is still the study's revision and something changed.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    if not settle_many(ledger, [claim]):
        raise lease_lost(claim)


def settle_many(ledger: Ledger, claims: Sequence[Claim]) -> set[UUID]:
    """The same for many studies in one transaction.

    Returns:
        The ids of the jobs that were finished; nothing was written for the others, whose leases were lost.
    """

    def body(work: Work, held: Collection[UUID]) -> None:
        # Of two revisions of a study the older one has nothing to say.
        of_study = {claim.subject: claim for claim in sorted(claims, key=_revision) if claim.job_id in held}
        studies = work.rows(_STUDIES, {"ids": list(of_study)})
        due = [row for row in studies if row["revision"] == _revision(of_study[row["id"]])]
        candidates = groupby(work.rows(_CANDIDATES, {"ids": [row["id"] for row in due]}), itemgetter("study_id"))
        images = {study_id: list(rows) for study_id, rows in candidates}
        bundle = served_in(work).name
        choices = []
        for study in due:
            claim, chosen = of_study[study["id"]], choose(images.get(study["id"], []))
            if chosen is None:
                _nothing_to_summarise(work, claim, {image["view"] for image in images.get(study["id"], [])})
            else:
                same = (study["summarised_image"], study["bundle"]) == (chosen["id"], bundle)
                choices.append(_choice(claim, chosen, bundle, same=same))
        if choices:
            values = {"rows": json.dumps(choices), "max_attempts": ledger.settings.max_attempts}
            work.rings += [Ring(JobKind.SUMMARISE, Lane.of_rank(row["lane_rank"])) for row in work.rows(_WRITE, values)]

    return fenced_many(ledger, claims, body, study_ids=[claim.subject for claim in claims])


def _revision(claim: Claim) -> int:
    return claim.revision or 0


def _choice(claim: Claim, chosen: RowMapping, bundle: str, *, same: bool) -> dict[str, Any]:
    return {
        "study_id": str(claim.subject),
        "image_id": str(chosen["id"]),
        "view": chosen["view"],
        "flags": chosen["flags"],
        "same": same,
        "summarise_id": str(new_id()),
        "revision": claim.revision,
        "bundle": bundle,
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "epoch": claim.epoch,
    }


def _nothing_to_summarise(work: Work, claim: Claim, views: set[str]) -> None:
    """No image of the study can be summarised; a summary of an image that was replaced is no longer current."""
    work.run(
        "UPDATE summaries SET superseded_at = clock_timestamp() WHERE study_id = :id AND superseded_at IS NULL",
        {"id": claim.subject},
    )
    values: dict[str, Any] = {"id": claim.subject, "image": None, "flags": [], "terminal": True, "reason": None}
    if views:
        rejected = {"view": min(views), "state": StudyState.REJECTED, "reason": ReasonCode.NO_FRONTAL_VIEW}
        work.run(_CHOOSE, values | rejected)
        note(
            work, claim.subject, "study rejected", who="settle", claim=claim, detail={"reason_code": "no_frontal_view"}
        )
    else:
        # An image that is still to be read keeps the study open.
        work.run(_CHOOSE, values | {"view": None, "state": StudyState.RECEIVED, "terminal": False})
        close_if_nothing_is_left(work, claim.subject)
