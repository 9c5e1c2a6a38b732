"""Settle: choose the image of a study that is summarised, and queue its summary.

A settle job is about one revision of its study (:mod:`.revise`). If the study has moved on, the job does nothing.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import Claim, fenced_many
from xraygpt_core.ledger.studies.choose_image import choose
from xraygpt_core.ledger.studies.no_summary import settle_without_summary
from xraygpt_core.ledger.training.serving import served_in
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

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

_SUMMARISE = insert_jobs(
    "chosen WHERE NOT summarised",
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
            study_id uuid, image_id uuid, view text, flags jsonb, summarised boolean, summarise_id uuid,
            revision int, bundle text, job_id uuid, attempt int, epoch bigint)
    ), chosen AS (
        UPDATE studies SET chosen_image = n.image_id, view = n.view, reason_code = NULL,
               flags = ARRAY(SELECT jsonb_array_elements_text(n.flags)),
               state = CASE WHEN n.summarised THEN 'summarised' ELSE 'queued' END,
               finished_at = CASE WHEN n.summarised THEN clock_timestamp() END
        FROM n WHERE studies.id = n.study_id RETURNING n.*, lane_rank, place
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
        SELECT study_id, image_id, job_id, 'settled', 'settle', attempt, epoch, jsonb_build_object('view', view) FROM n
    )
    {_SUMMARISE}
"""


def settle_many(ledger: Ledger, claims: Sequence[Claim]) -> set[UUID]:
    """Choose the image of each study and ask for a summary, if the revision still holds and something changed.

    All studies are settled in one transaction.

    Returns:
        The ids of the jobs that were finished; nothing was written for the others, whose leases were lost.
    """

    def body(work: Work, held: Collection[UUID]) -> None:
        # Of two revisions of a study only the newer one counts.
        of_study = {
            claim.subject: claim
            for claim in sorted(claims, key=lambda claim: claim.revision or 0)
            if claim.job_id in held
        }
        studies = work.rows(_STUDIES, {"ids": list(of_study)})
        due = [row for row in studies if row["revision"] == of_study[row["id"]].revision]
        candidates = _candidates(work, [row["id"] for row in due])
        bundle = served_in(work).name
        choices = []  # of the studies that have a frontal image
        for study in due:
            claim, images = of_study[study["id"]], candidates[study["id"]]
            chosen = choose(images)
            if chosen is None:
                settle_without_summary(work, claim, {image["view"] for image in images})
            else:
                summarised = (study["summarised_image"], study["bundle"]) == (chosen["id"], bundle)
                choices.append(_choice(claim, chosen, bundle, summarised=summarised))
        if choices:
            values = {"rows": json.dumps(choices), "max_attempts": ledger.settings.max_attempts}
            work.rings += [Ring(JobKind.SUMMARISE, Lane.of_rank(row["lane_rank"])) for row in work.rows(_WRITE, values)]

    return fenced_many(ledger, claims, body, study_ids=[claim.subject for claim in claims])


def _candidates(work: Work, study_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[RowMapping]]:
    """The images to choose from, by study."""
    found: defaultdict[UUID, list[RowMapping]] = defaultdict(list)
    for row in work.rows(_CANDIDATES, {"ids": study_ids}):
        found[row["study_id"]].append(row)
    return found


def _choice(claim: Claim, chosen: RowMapping, bundle: str, *, summarised: bool) -> dict[str, Any]:
    return {
        "study_id": str(claim.subject),
        "image_id": str(chosen["id"]),
        "view": chosen["view"],
        "flags": chosen["flags"],
        "summarised": summarised,
        "summarise_id": str(new_id()),
        "revision": claim.revision,
        "bundle": bundle,
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "epoch": claim.epoch,
    }
