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
from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.scope import scope_of
from xraygpt_core.states import Flag, JobKind, JobState, Lane

MAX_QUESTION = 2000


@dataclass(frozen=True)
class Turn:
    """A question, the summary it was asked about, and the answer as far as it is written.

    Attributes:
        state: a :class:`JobState`; ``done`` once the answer is whole.
    """

    turn_id: UUID
    study_id: UUID
    summary_id: UUID
    question: str
    answer: str
    state: str
    asked_at: datetime
    answered_at: datetime | None
    flags: Sequence[str] = ()
    consistency: Sequence[Mapping[str, str]] = ()
    provenance: Mapping[str, Any] | None = None

    @property
    def scope(self) -> dict[str, Any] | None:
        """What the bundle that answered was made for; None before the answer is whole."""
        return scope_of(self.provenance or {}) if self.state == JobState.DONE else None


@dataclass(frozen=True)
class ChatInput:
    """What the model needs to answer: the image, the summary, the conversation so far and the question.

    Attributes:
        stands: the summary as readers see it: a clinician's correction of it, if there is one.
        view, flags: of the image.
    """

    turn_id: UUID
    study_id: UUID
    summary_id: UUID
    normalised_key: str
    normalised_sha256: str
    summary: str
    turns: tuple[tuple[str, str], ...]
    question: str
    stands: str
    view: str | None
    flags: Sequence[str]


_COLUMNS = (
    "id AS turn_id, study_id, summary_id, question, answer, state, asked_at, answered_at, flags, "
    "consistency, provenance"
)

_ASK = f"""
    INSERT INTO chat_turns (id, study_id, summary_id, position, state, question)
    SELECT :id, :study, :summary, COALESCE(max(position), 0) + 1, 'queued', :question
    FROM chat_turns WHERE study_id = :study RETURNING {_COLUMNS}
"""

_INPUT = """
    SELECT t.id AS turn_id, t.study_id, t.summary_id, t.question, t.position, s.summary,
           COALESCE(s.edited_summary, s.summary) AS stands, i.view, i.flags, i.normalised_key, i.normalised_sha256
    FROM chat_turns t JOIN summaries s ON s.id = t.summary_id JOIN images i ON i.id = s.image_id
    WHERE t.id = :id
"""

_EARLIER = """
    SELECT question, answer FROM chat_turns
    WHERE study_id = :study_id AND summary_id = :summary_id AND position < :position AND state = 'done'
    ORDER BY position
"""


def ask(ledger: Ledger, study_id: UUID, question: str) -> Turn:
    """Store a question about the study's current summary and queue its answer before all other work.

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
        summary = work.row("SELECT id FROM summaries WHERE study_id = :id AND superseded_at IS NULL", {"id": study})
        if summary is None:
            raise Conflict("the study has no summary yet: ask again when its state is 'summarised'")
        asked_of = {"id": turn_id, "study": study, "summary": summary["id"], "question": asked}
        of_summary = {"summary": summary["id"]}
        (row,) = recorded(work, _ASK, asked_of, "question asked", study=study, subject=turn_id, detail=of_summary)
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
    values = {name: value for name, value in row.items() if name != "position"}
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


def complete_turn(
    ledger: Ledger,
    claim: Claim,
    answer: str,
    bundle: str,
    bundle_sha256: str,
    provenance: dict[str, Any],
    flags: Sequence[Flag] = (),
    consistency: Sequence[Mapping[str, str]] = (),
) -> None:
    """Store the whole answer, and what is to be shown with it (as with a :class:`NewSummary`).

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE chat_turns SET answer = :answer, state = :state, lease_epoch = :epoch, bundle = :bundle, "
            "bundle_sha256 = :sha256, provenance = CAST(:provenance AS jsonb), answered_at = clock_timestamp(), "
            "flags = CAST(:flags AS text[]), consistency = CAST(:consistency AS jsonb) WHERE id = :id",
            {
                "id": claim.subject,
                "answer": answer,
                "state": JobState.DONE,
                "epoch": claim.epoch,
                "bundle": bundle,
                "sha256": bundle_sha256,
                "provenance": json.dumps(provenance),
                "flags": [*flags, *([Flag.CONSISTENCY] if consistency else [])],
                "consistency": json.dumps(list(consistency)),
            },
        )

    fenced(ledger, claim, body)
