"""Summarise: which image the GPU worker is to look at, and what becomes of the text it wrote."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import URL

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.fence import Claim, fenced, fenced_many, lease_lost
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.models.studies import summaries
from xraygpt_core.states import Flag, JobState


@dataclass(frozen=True)
class SummariseInput:
    """The normalised image to summarise, and the revision of the study it was chosen for.

    Attributes:
        view: PA or AP, where the image's header says so.
        flags: of the image, as :class:`xraygpt_core.states.Flag`.
    """

    study_id: UUID
    image_id: UUID
    revision: int
    normalised_key: str
    normalised_sha256: str
    view: str | None = None
    flags: Sequence[str] = ()


_WAITS = ("waited_seconds", "generate_seconds")  # of the provenance, for the timeline

_INPUTS = """
    SELECT s.id AS study_id, i.id AS image_id, s.revision, i.normalised_key, i.normalised_sha256,
           COALESCE(i.view, s.view) AS view, i.flags
    FROM unnest(CAST(:ids AS uuid[]), CAST(:revisions AS int[])) AS n (study_id, revision)
    JOIN studies s ON s.id = n.study_id AND s.revision = n.revision AND s.state NOT IN ('cancelled', 'rejected')
    JOIN images i ON i.id = s.chosen_image AND i.state = 'accepted'
"""

_STUDIES = "SELECT id, revision, lane_rank FROM studies WHERE id = ANY(CAST(:ids AS uuid[]))"

# A signed summary may have been superseded before, when its image was replaced: then none is current now.
_SUPERSEDE = """
    WITH former AS (
        UPDATE summaries SET superseded_at = clock_timestamp()
        WHERE study_id = ANY(CAST(:ids AS uuid[])) AND superseded_at IS NULL
        RETURNING study_id, review_state <> 'draft' OR CAST(:flag AS text) = ANY(flags) AS reviewed)
    SELECT study_id FROM former WHERE reviewed
    UNION SELECT study_id FROM summaries
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND superseded_at IS NOT NULL AND review_state <> 'draft'
"""

# The columns of a new row, and their types in the table.
_NAMES = ["id", "study_id", "image_id", "revision", "job_id", "lease_epoch", "lane_rank"]
_NAMES += [field.name for field in fields(NewSummary)]
_COLUMNS = ", ".join(_NAMES)
_POSTGRES = URL.create("postgresql").get_dialect()()
_TYPED = ", ".join(f"{name} {summaries.c[name].type.compile(_POSTGRES)}" for name in _NAMES)

# Each row has, beside its columns, what the study and the timeline need.
_WRITE = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS n ({_TYPED}, current boolean, attempt int, waits jsonb)
    ), texts AS (
        INSERT INTO summaries ({_COLUMNS}, superseded_at)
        SELECT {_COLUMNS}, CASE WHEN NOT current THEN clock_timestamp() END FROM n
    ), ended AS (
        UPDATE studies SET state = 'summarised', reason_code = NULL, finished_at = clock_timestamp()
        FROM n WHERE studies.id = n.study_id AND current
    )
    INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
    SELECT study_id, image_id, job_id, CASE WHEN current THEN 'summarised' ELSE 'summarised, superseded meanwhile' END,
           'gpu', attempt, lease_epoch,
           jsonb_build_object('bundle', bundle, 'tokens', tokens, 'batch_size', batch_size) || waits
    FROM n
"""

Done = tuple[Claim, SummariseInput, NewSummary]


def summarise_input(ledger: Ledger, claim: Claim) -> SummariseInput | None:
    """What this claim is to summarise. None: the study has moved on, and the job is cancelled.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    given = ledger.meeting("summarise_input", partial(_inputs, ledger))(claim)
    if given is None:
        fenced(ledger, claim, lambda _: None, finish=JobState.CANCELLED)
    return given


def complete_summary(ledger: Ledger, claim: Claim, given: SummariseInput, summary: NewSummary) -> UUID:
    """Keep a summary: as the study's current one if the study is still what it was, as superseded otherwise.

    Threads that come at the same moment share a transaction; each gets its own answer.

    Returns:
        The summary's id.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    summary_id = ledger.meeting("summary", partial(_complete, ledger))((claim, given, summary))
    if summary_id is None:
        raise lease_lost(claim)
    return summary_id


def _inputs(ledger: Ledger, claims: Sequence[Claim]) -> list[SummariseInput | None]:
    values = {"ids": [claim.subject for claim in claims], "revisions": [claim.revision for claim in claims]}
    with ledger.work() as work:
        found = {(row["study_id"], row["revision"]): SummariseInput(**row) for row in work.rows(_INPUTS, values)}
    return [found.get((claim.subject, claim.revision)) for claim in claims]


def _complete(ledger: Ledger, done: Sequence[Done]) -> list[UUID | None]:
    """The id of each summary; None where the lease was lost."""
    ids = {claim.job_id: new_id() for claim, _, _ in done}

    def body(work: Work, held: Collection[UUID]) -> None:
        mine = [one for one in done if one[0].job_id in held]
        studies = {row["id"]: row for row in work.rows(_STUDIES, {"ids": [given.study_id for _, given, _ in mine]})}
        # Two jobs of one study (another bundle was asked for): the last one is the current one.
        current = {
            given.study_id: claim.job_id
            for claim, given, _ in mine
            if studies[given.study_id]["revision"] == given.revision
        }
        reviewed = _supersede(work, list(current))
        rows = [
            _row(ids[claim.job_id], claim, given, summary)
            | {"current": current.get(given.study_id) == claim.job_id}
            | {"lane_rank": studies[given.study_id]["lane_rank"]}
            | {"flags": _flags(summary, supersedes_reviewed=given.study_id in reviewed)}
            for claim, given, summary in mine
        ]
        work.run(_WRITE, {"rows": json.dumps(rows)})

    study_ids = [given.study_id for _, given, _ in done]
    finished = fenced_many(ledger, [claim for claim, _, _ in done], body, study_ids=study_ids)
    return [ids[claim.job_id] if claim.job_id in finished else None for claim, _, _ in done]


def _supersede(work: Work, study_ids: list[UUID]) -> set[UUID]:
    """End the current summaries of these studies; those of them that have a reviewed summary."""
    if not study_ids:
        return set()
    former = work.rows(_SUPERSEDE, {"ids": study_ids, "flag": Flag.SUPERSEDES_REVIEWED})
    return {row["study_id"] for row in former}


def _flags(summary: NewSummary, *, supersedes_reviewed: bool) -> list[Flag]:
    found = list(summary.flags)
    if summary.consistency:
        found.append(Flag.CONSISTENCY)
    if supersedes_reviewed:
        found.append(Flag.SUPERSEDES_REVIEWED)
    return list(dict.fromkeys(found))


def _row(summary_id: UUID, claim: Claim, given: SummariseInput, summary: NewSummary) -> dict[str, Any]:
    return {
        **summary.__dict__,
        "id": str(summary_id),
        "study_id": str(given.study_id),
        "image_id": str(given.image_id),
        "revision": given.revision,
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "lease_epoch": claim.epoch,
        "waits": {name: summary.provenance[name] for name in _WAITS if name in summary.provenance},
    }
