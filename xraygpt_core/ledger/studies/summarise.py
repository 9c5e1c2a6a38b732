"""Summarise: which image the GPU worker is to look at, and what becomes of the text it wrote."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import URL

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.card.labels import Labels, Source, store_labels
from xraygpt_core.ledger.jobs.fence import Claim, fenced, fenced_many, lease_lost
from xraygpt_core.ledger.studies.compared import STANDING_PRIOR
from xraygpt_core.ledger.studies.current_draft import WAITS_FOR_MORE, WrittenText, standings
from xraygpt_core.ledger.studies.further_films import FURTHER, Film, with_further
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.models.studies import summaries
from xraygpt_core.report.text_labels import labels_of, named_by
from xraygpt_core.states import Flag, ImageRole, JobState


@dataclass(frozen=True)
class SummariseInput:
    """The normalised image to summarise, and the revision of the study it was chosen for.

    Attributes:
        view: PA or AP, where the image's header says so.
        flags: of the image, as :class:`xraygpt_core.states.Flag`.
        further: the films beside it, by their roles, for a bundle that looks at them.
        clinical_key, clinical_sha256: the sealed words of its header, where there are any.
    """

    study_id: UUID
    image_id: UUID
    revision: int
    normalised_key: str
    normalised_sha256: str
    view: str | None = None
    flags: Sequence[str] = ()
    further: Mapping[ImageRole, Film] = field(default_factory=dict)
    clinical_key: str | None = None
    clinical_sha256: str | None = None


_WAITS = ("waited_seconds", "generate_seconds")  # of the provenance, for the timeline
_FILMS = ("lateral_image", "prior_image")

_INPUTS = f"""
    SELECT s.id AS study_id, i.id AS image_id, n.revision, i.normalised_key, i.normalised_sha256,
           COALESCE(i.view, s.view) AS view, i.flags, {FURTHER}
    FROM unnest(CAST(:ids AS uuid[]), CAST(:revisions AS int[])) AS n (study_id, revision)
    JOIN studies s ON s.id = n.study_id AND s.state NOT IN ('cancelled', 'rejected')
    JOIN images i ON i.id = s.chosen_image AND i.state = 'accepted'
    LEFT JOIN images l ON l.id = s.chosen_lateral AND l.state = 'accepted' AND l.study_id = s.id
    LEFT JOIN images p ON p.id = s.chosen_prior AND p.study_id = {STANDING_PRIOR.format(study="s.id", film="p.id")}
    WHERE s.revision = n.revision OR ({WAITS_FOR_MORE})
"""

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
_NAMES = ["id", "study_id", "image_id", "revision", "job_id", "lease_epoch", "lane_rank", "asserted", "uncertain"]
_NAMES += [one.name for one in fields(NewSummary)]
_COLUMNS = ", ".join(_NAMES)
_POSTGRES = URL.create("postgresql").get_dialect()()
_TYPED = ", ".join(f"{name} {summaries.c[name].type.compile(_POSTGRES)}" for name in _NAMES)

# Each row has, beside its columns, what the study and the timeline need.
_WRITE = f"""
    WITH n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS n ({_TYPED}, current boolean, ends boolean, attempt int, waits jsonb)
    ), texts AS (
        INSERT INTO summaries ({_COLUMNS}, superseded_at)
        SELECT {_COLUMNS}, CASE WHEN NOT current THEN clock_timestamp() END FROM n
    ), ended AS (
        UPDATE studies SET state = 'summarised', reason_code = NULL, finished_at = clock_timestamp()
        FROM n WHERE studies.id = n.study_id AND current AND ends
    )
    INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
    SELECT study_id, image_id, job_id, CASE WHEN current THEN 'summarised' ELSE 'summarised, superseded meanwhile' END,
           'gpu', attempt, lease_epoch,
           jsonb_build_object('bundle', bundle, 'tokens', tokens, 'batch_size', batch_size) || waits
    FROM n
"""

Done = tuple[Claim, SummariseInput, NewSummary, Labels]


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
    done = (claim, given, summary, labels_of(summary.summary))  # before the transaction: it takes milliseconds
    summary_id = ledger.meeting("summary", partial(_complete, ledger))(done)
    if summary_id is None:
        raise lease_lost(claim)
    return summary_id


def _inputs(ledger: Ledger, claims: Sequence[Claim]) -> list[SummariseInput | None]:
    values = {"ids": [claim.subject for claim in claims], "revisions": [claim.revision for claim in claims]}
    with ledger.work() as work:
        rows = work.rows(_INPUTS, values)
    found = {(row["study_id"], row["revision"]): SummariseInput(**with_further(dict(row))) for row in rows}
    return [found.get((claim.subject, claim.revision)) for claim in claims]


def _complete(ledger: Ledger, done: Sequence[Done]) -> list[UUID | None]:
    """The id of each summary; None where the lease was lost."""
    ids = {claim.job_id: new_id() for claim, *_ in done}

    def body(work: Work, held: Collection[UUID]) -> None:
        mine = [one for one in done if one[0].job_id in held]
        texts = [_text(given, summary) for _, given, summary, _ in mine]
        found = standings(work, texts)
        reviewed = _supersede(work, [text.study_id for text, one in zip(texts, found, strict=True) if one.current])
        rows = [
            _row(ids[claim.job_id], claim, given, summary, labels)
            | one.__dict__
            | {"flags": _flags(summary, supersedes_reviewed=given.study_id in reviewed)}
            | ({} if one.sound else dict.fromkeys(_FILMS))  # such a text leads to another patient's film no more
            for (claim, given, summary, labels), one in zip(mine, found, strict=True)
        ]
        work.run(_WRITE, {"rows": json.dumps(rows)})
        store_labels(work, Source.DRAFT, {ids[claim.job_id]: labels for claim, *_, labels in mine})
        for study_id in sorted({text.study_id for text, one in zip(texts, found, strict=True) if one.again}):
            revise(ledger, work, study_id, wait=False)

    # With those of their priors, so that a prior that moves at this moment is seen here or sees these texts.
    study_ids = [study_id for _, given, summary, _ in done for study_id in _studies(given, summary)]
    finished = fenced_many(ledger, [claim for claim, *_ in done], body, study_ids=study_ids)
    return [ids[claim.job_id] if claim.job_id in finished else None for claim, *_ in done]


def _text(given: SummariseInput, summary: NewSummary) -> WrittenText:
    prior = _prior(given, summary)
    return WrittenText(
        given.study_id,
        given.revision,
        given.image_id,
        summary.lateral_image,
        summary.bundle,
        summary.prior_image,
        prior.study_id if prior else None,
    )


def _studies(given: SummariseInput, summary: NewSummary) -> list[UUID]:
    """The study, and that of the prior film that the model saw."""
    prior = _prior(given, summary)
    return [given.study_id, *([prior.study_id] if prior else [])]


def _prior(given: SummariseInput, summary: NewSummary) -> Film | None:
    film = given.further.get(ImageRole.PRIOR)
    return film if film is not None and film.image_id == summary.prior_image else None


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


def _row(summary_id: UUID, claim: Claim, given: SummariseInput, summary: NewSummary, labels: Labels) -> dict[str, Any]:
    return {
        **summary.__dict__,
        **named_by(labels).__dict__,
        "id": str(summary_id),
        "study_id": str(given.study_id),
        "image_id": str(given.image_id),
        **{name: found and str(found) for name in _FILMS for found in [getattr(summary, name)]},
        "revision": given.revision,
        "job_id": str(claim.job_id),
        "attempt": claim.attempts,
        "lease_epoch": claim.epoch,
        "waits": {name: summary.provenance[name] for name in _WAITS if name in summary.provenance},
    }
