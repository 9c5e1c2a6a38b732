"""Follow-up questions: ask, read the transcript, watch an answer grow (server-sent events, WHATWG HTML section 9.2)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse, ServerSentEvent

from api_gateway.auth import TextReader, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.rate_limits import spends
from api_gateway.schemas import Answer, ContradictionAnswer, Request, ScopeAnswer, Text
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.access.sessions import still_valid
from xraygpt_core.ledger.studies.chat import Turn, ask, transcript, turn, turn_now
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import NOTICE, Flag, JobState

router = APIRouter(tags=["chat"])

# Seconds between two looks at a turn: short while text arrives, longer while it waits.
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
_PING_SECONDS = 15
CHECK_SECONDS = 0.4  # also before each later look: a stream ends within a second of its key
_FAILED = frozenset({JobState.DEAD, JobState.CANCELLED})


class Question(Request):
    """What to ask about the study's current summary."""

    question: Text


class Asked(Answer):
    """The turn whose answer is being written."""

    turn_id: UUID
    summary_id: UUID


class TurnAnswer(Answer):
    """A turn of the conversation. ``state`` is ``done`` once the answer is whole.

    ``answered_by``: ``rule`` where the model was not asked, because no film it is shown can answer the question.
    """

    turn_id: UUID
    question: str
    answer: str
    state: JobState
    summary_id: UUID
    asked_at: datetime
    answered_at: datetime | None
    answered_by: Literal["model", "rule"]
    flags: list[Flag]
    scope: ScopeAnswer | None
    consistency: list[ContradictionAnswer]
    notice: str = NOTICE


class Transcript(Answer):
    """All turns of a study, oldest first."""

    turns: list[TurnAnswer]


@router.post("/v1/studies/{study_id}/chat", status_code=202, dependencies=[spends("question")])
def post_question(study_id: UUID, body: Question, once: RunsOnce, _: TextReader) -> Asked:
    """Ask about the study's current summary. 409 before there is one."""

    def action(ledger: Ledger) -> dict[str, str]:
        asked = ask(ledger, study_id, body.question)
        return {"turn_id": str(asked.turn_id), "summary_id": str(asked.summary_id)}

    return Asked.model_validate(once(action))


@router.get("/v1/studies/{study_id}/chat")
def get_transcript(study_id: UUID, ledger: UsesLedger, _: TextReader) -> Transcript:
    """The conversation about a study."""
    return Transcript(turns=[TurnAnswer.model_validate(one) for one in transcript(ledger, study_id)])


@router.get("/v1/turns/{turn_id}")
def get_turn(turn_id: UUID, ledger: UsesLedger, _: TextReader) -> TurnAnswer:
    """One turn."""
    return TurnAnswer.model_validate(turn(ledger, turn_id))


@router.get(
    "/v1/turns/{turn_id}/stream",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "events token, done, error"}},
)
async def stream_turn(turn_id: UUID, ledger: UsesLedger, caller: TextReader) -> EventSourceResponse:
    """Watch an answer grow.

    ``token``: ``{"text"}``, the next piece. ``done``: the whole turn, as ``GET /v1/turns/{id}`` has it; its
    ``answer`` counts (if a worker is lost, another one starts again). ``error``: ``{"state"}``, no answer will come:
    every attempt failed, it was cancelled, or (``signed_out``) the key or session ended meanwhile.
    """
    first = await run_in_threadpool(turn, ledger, turn_id)
    return EventSourceResponse(growing(first, _Watched(ledger, caller, turn_id)), ping=_PING_SECONDS)


class _Watched:
    """Reads a turn for a caller, and checks about once a second that the caller's key or session is still valid."""

    def __init__(self, ledger: Ledger, caller: ApiKey, turn_id: UUID) -> None:
        self._ledger = ledger
        self._caller = caller
        self._turn_id = turn_id
        self._checked_at = time.monotonic()

    def __call__(self) -> Turn | None:
        """The turn as it stands; None if the caller may not read it any more."""
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            if not still_valid(self._ledger, self._caller):
                return None
            self._checked_at = time.monotonic()
        return turn_now(self._ledger, self._turn_id)


async def growing(first: Turn, look: Callable[[], Turn | None]) -> AsyncIterator[ServerSentEvent]:
    """The events of one turn until its end, first the text that exists; ``look`` gives None to end the stream."""
    now: Turn | None = first
    sent, pause = "", SHORTEST_PAUSE
    while now is not None:
        if now.answer.startswith(sent) and now.answer != sent and now.state not in _FAILED:
            yield _token(now.answer[len(sent) :])
            sent, pause = now.answer, SHORTEST_PAUSE
        else:
            pause = min(pause * 1.5, LONGEST_PAUSE)
        if now.state == JobState.DONE:
            yield ServerSentEvent(TurnAnswer.model_validate(now).model_dump_json(), event="done")
            return
        if now.state in _FAILED:
            yield ServerSentEvent(json.dumps({"state": now.state}), event="error")
            return
        await asyncio.sleep(pause)
        now = await run_in_threadpool(look)
    yield ServerSentEvent(json.dumps({"state": "signed_out"}), event="error")


def _token(text: str) -> ServerSentEvent:
    return ServerSentEvent(json.dumps({"text": text}, ensure_ascii=False), event="token")
