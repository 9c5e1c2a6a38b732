"""Follow-up questions about a summary. A turn is stored when it is asked and answered by the same engine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Conflict, InvalidRequest, LeaseLost
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record, recorded
from xraygpt_core.ledger.card.labels import Source, store_labels
from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.studies.compared import STANDING_PRIOR
from xraygpt_core.ledger.studies.further_films import FURTHER, Film, with_further
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.training.serving import served_with_images
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.report.text_labels import labels_of
from xraygpt_core.report.unanswerable import rule_answer
from xraygpt_core.scope import scope_of
from xraygpt_core.states import Flag, ImageRole, JobKind, JobState, Lane

MAX_QUESTION = 2000


@dataclass(frozen=True)
class Turn:
    """A question, the summary it was asked about, and the answer as far as it is written.

    Attributes:
        state: a :class:`JobState`; ``done`` once the answer is whole.
        answered_by: ``model``, or ``rule``: one of our own sentences (:mod:`xraygpt_core.report.unanswerable`).
    """

    turn_id: UUID
    study_id: UUID
    summary_id: UUID
    question: str
    answer: str
    state: str
    asked_at: datetime
    answered_at: datetime | None
    answered_by: str = "model"
    flags: Sequence[str] = ()
    consistency: Sequence[Mapping[str, str]] = ()
    provenance: Mapping[str, Any] | None = None

    @property
    def scope(self) -> dict[str, Any] | None:
        """What the bundle that answered was made for; None before the answer is whole, and of a rule."""
        by_model = self.state == JobState.DONE and self.answered_by == "model"
        return scope_of(self.provenance or {}) if by_model else None


@dataclass(frozen=True)
class ChatInput:
    """What the model needs to answer: the image, the summary, the conversation so far and the question.

    Attributes:
        stands: the summary as readers see it: a clinician's correction of it, if there is one.
        view, flags: of the image.
        further: the other films that the summary was made from, by their roles.
    """

    turn_id: UUID
    study_id: UUID
    summary_id: UUID
    image_id: UUID
    normalised_key: str
    normalised_sha256: str
    summary: str
    turns: tuple[tuple[str, str], ...]
    question: str
    stands: str
    view: str | None
    flags: Sequence[str]
    further: Mapping[ImageRole, Film]
    clinical_key: str | None
    clinical_sha256: str | None


_COLUMNS = (
    "id AS turn_id, study_id, summary_id, question, answer, state, asked_at, answered_at, answered_by, flags, "
    "consistency, provenance"
)

_CURRENT = "SELECT id, prior_image FROM summaries WHERE study_id = :id AND superseded_at IS NULL"

_ASK = f"""
    INSERT INTO chat_turns (id, study_id, summary_id, position, state, question, answer, answered_by, answered_at)
    SELECT :id, :study, :summary, COALESCE(max(position), 0) + 1, :state, :question, COALESCE(CAST(:rule AS text), ''),
           CASE WHEN CAST(:rule AS text) IS NULL THEN 'model' ELSE 'rule' END,
           CASE WHEN CAST(:rule AS text) IS NOT NULL THEN clock_timestamp() END
    FROM chat_turns WHERE study_id = :study RETURNING {_COLUMNS}
"""

_INPUT = f"""
    SELECT t.id AS turn_id, t.study_id, t.summary_id, t.question, t.position, s.summary,
           COALESCE(s.edited_summary, s.summary) AS stands, i.view, i.flags, i.id AS image_id,
           i.normalised_key, i.normalised_sha256,
           {FURTHER}
    FROM chat_turns t JOIN summaries s ON s.id = t.summary_id JOIN images i ON i.id = s.image_id
    LEFT JOIN images l ON l.id = s.lateral_image AND l.study_id = t.study_id
    LEFT JOIN images p ON p.id = s.prior_image AND p.study_id = {STANDING_PRIOR.format(study="t.study_id", film="p.id")}
    WHERE t.id = :id
"""

_STANDS = f"""
    SELECT COALESCE({STANDING_PRIOR.format(study="study_id", film=":film")} = :study, false) AS stands
    FROM chat_turns WHERE id = :id
"""

_EARLIER = """
    SELECT question, answer FROM chat_turns
    WHERE study_id = :study_id AND summary_id = :summary_id AND position < :position AND state = 'done'
      AND answered_by = 'model'
    ORDER BY position
"""


def ask(ledger: Ledger, study_id: UUID, question: str) -> Turn:
    """Store a question about the study's current summary and queue its answer before all other work.

    What no model can answer from the films it is shown is answered here, by a rule.

    Raises:
        NotFound: no such study.
        Conflict: the study has no summary yet.
        InvalidRequest: the question is empty or too long.
    """
    asked = question.strip()
    if not asked or len(asked) > MAX_QUESTION or "\0" in asked:
        raise InvalidRequest(f"a question has between 1 and {MAX_QUESTION} characters")
    turn_id = new_id()
    with ledger.work() as work:
        study = resolve(work, study_id)
        work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": study})
        summary = work.row(_CURRENT, {"id": study})
        if summary is None:
            raise Conflict("the study has no summary yet: ask again when its state is 'summarised'")
        _, images = served_with_images(work)
        looks = images is None or ImageRole.PRIOR in images
        rule = rule_answer(asked, prior_shown=looks and summary["prior_image"] is not None)
        asked_of = {"id": turn_id, "study": study, "summary": summary["id"], "question": asked, "rule": rule}
        asked_of["state"] = JobState.QUEUED if rule is None else JobState.DONE
        of_summary = {"summary": summary["id"]}
        (row,) = recorded(work, _ASK, asked_of, "question asked", study=study, subject=turn_id, detail=of_summary)
        if rule is None:
            add_job(work, JobKind.CHAT, turn_id, Lane.STAT, max_attempts=ledger.settings.max_attempts)
    return Turn(**row)


def turn(ledger: Ledger, turn_id: UUID) -> Turn:
    """One turn.

    Raises:
        NotFound: there is none under this id.
    """
    with ledger.work() as work:
        found = _turn(work, turn_id)
        record(work, "turn read", study=found.study_id, subject=turn_id)
    return found


def turn_now(ledger: Ledger, turn_id: UUID) -> Turn:
    """The same, read again by a reader who follows the answer: the audit has that as one act.

    Raises:
        NotFound: it was purged meanwhile.
    """
    with ledger.work() as work:
        return _turn(work, turn_id)


def _turn(work: Work, turn_id: UUID) -> Turn:
    sql = f"SELECT {_COLUMNS} FROM chat_turns WHERE id = :id"
    return Turn(**work.found(sql, {"id": turn_id}, f"there is no chat turn {turn_id}"))


def transcript(ledger: Ledger, study_id: UUID) -> list[Turn]:
    """All turns of a study, oldest first.

    Raises:
        NotFound: no such study.
    """
    with ledger.work() as work:
        study = resolve(work, study_id)
        rows = work.rows(f"SELECT {_COLUMNS} FROM chat_turns WHERE study_id = :id ORDER BY position", {"id": study})
        record(work, "transcript read", study=study, detail={"turns": len(rows)})
    return [Turn(**row) for row in rows]


def chat_input(ledger: Ledger, claim: Claim) -> ChatInput:
    """What the worker needs to answer a question.

    Raises:
        LeaseLost: the turn was purged meanwhile.
    """
    with ledger.work() as work:
        row = work.row(_INPUT, {"id": claim.subject})
        if row is None:
            raise LeaseLost(f"turn {claim.subject} was purged")
        earlier = work.rows(_EARLIER, dict(row))
    values = {name: value for name, value in with_further(dict(row)).items() if name != "position"}
    return ChatInput(**values, turns=tuple((one["question"], one["answer"]) for one in earlier))


def stream_answer(ledger: Ledger, claim: Claim, text_so_far: str) -> None:
    """Show what is written so far. A repeat of the job starts the text anew.

    Raises:
        LeaseLost: the job is no longer ours.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE chat_turns SET answer = :answer, state = 'running', lease_epoch = :epoch WHERE id = :id",
            {"id": claim.subject, "answer": text_so_far, "epoch": claim.epoch},
        )

    fenced(ledger, claim, body, finish=None)


_ANSWERED = """
    UPDATE chat_turns SET answer = :answer, state = :state, lease_epoch = :epoch, bundle = :bundle,
           bundle_sha256 = :sha256, provenance = CAST(:provenance AS jsonb), answered_at = clock_timestamp(),
           flags = CAST(:flags AS text[]), consistency = CAST(:consistency AS jsonb), reasoning = :reasoning
    WHERE id = :id
"""


def complete_turn(
    ledger: Ledger,
    claim: Claim,
    answer: str,
    bundle: str,
    bundle_sha256: str,
    provenance: dict[str, Any],
    flags: Sequence[Flag] = (),
    consistency: Sequence[Mapping[str, str]] = (),
    reasoning: str | None = None,
    *,
    prior: Film | None = None,
) -> None:
    """Store the whole answer, and what is to be shown with it (as with a :class:`NewSummary`).

    Args:
        prior: the patient's prior film, if the model saw it.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
        Conflict: that film is the patient's prior no more; nothing was written.
    """
    labels = labels_of(answer)  # before the transaction
    turn = {"id": claim.subject, "answer": answer, "state": JobState.DONE, "epoch": claim.epoch}
    values = turn | {
        "bundle": bundle,
        "sha256": bundle_sha256,
        "provenance": json.dumps(provenance),
        "flags": [*flags, *([Flag.CONSISTENCY] if consistency else [])],
        "consistency": json.dumps(list(consistency)),
        "reasoning": reasoning,
    }

    def body(work: Work) -> None:
        _check_prior(work, claim, prior)
        written = work.run(_ANSWERED, values)
        store_labels(work, Source.ANSWER, {claim.subject: labels} if written else {})

    fenced(ledger, claim, body)


def _check_prior(work: Work, claim: Claim, prior: Film | None) -> None:
    if prior is None:
        return
    asked = work.row(_STANDS, {"id": claim.subject, "film": prior.image_id, "study": prior.study_id})
    if asked is not None and not asked["stands"]:
        raise Conflict("the prior film that the model saw is the patient's prior no more: it is to answer without it")
