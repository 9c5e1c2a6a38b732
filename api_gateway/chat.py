"""Follow-up questions: ask, read the transcript, watch an answer grow (server-sent events, WHATWG HTML section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse, ServerSentEvent

from api_gateway.auth import Caller, UsesLedger
from api_gateway.limits import spends
from api_gateway.once import RunsOnce
from api_gateway.wire import Answer, Contradiction, Request, ScopeAnswer, Text
from xraygpt_core.ledger.chat import Turn, ask, transcript, turn
from xraygpt_core.states import NOTICE, Flag, JobState

router = APIRouter(tags=["chat"])

# Seconds between two looks at a turn: short while text arrives, longer while it waits.
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
_PING_SECONDS = 15


class Question(Request):
    """What to ask about the study's current summary."""

    question: Text


class Asked(Answer):
    """The turn whose answer is being written."""

    turn_id: UUID
    summary_id: UUID


class TurnAnswer(Answer):
    """A turn of the conversation. ``state`` is ``done`` once the answer is whole."""

    turn_id: UUID
    question: str
    answer: str
    state: JobState
    summary_id: UUID
    asked_at: datetime
    answered_at: datetime | None
    flags: list[Flag]
    scope: ScopeAnswer | None
    consistency: list[Contradiction]
    notice: str = NOTICE


class Transcript(Answer):
    """All turns of a study, oldest first."""

    turns: list[TurnAnswer]


@router.post("/v1/studies/{study_id}/chat", status_code=202, dependencies=[spends("question")])
def post_question(study_id: UUID, body: Question, ledger: UsesLedger, once: RunsOnce) -> Asked:
    """Ask about the study's current summary. 409 before there is one."""

    def action() -> dict[str, str]:
        asked = ask(ledger, study_id, body.question)
        return {"turn_id": str(asked.turn_id), "summary_id": str(asked.summary_id)}

    return Asked.model_validate(once(action))


@router.get("/v1/studies/{study_id}/chat")
def get_transcript(study_id: UUID, ledger: UsesLedger, _: Caller) -> Transcript:
    """The conversation about a study."""
    return Transcript(turns=[TurnAnswer.model_validate(one) for one in transcript(ledger, study_id)])


@router.get("/v1/turns/{turn_id}")
def get_turn(turn_id: UUID, ledger: UsesLedger, _: Caller) -> TurnAnswer:
    """One turn."""
    return TurnAnswer.model_validate(turn(ledger, turn_id))


@router.get(
    "/v1/turns/{turn_id}/stream",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "events token, done, error"}},
)
async def stream_turn(turn_id: UUID, ledger: UsesLedger, _: Caller) -> EventSourceResponse:
    """Watch an answer grow.

    ``token``: ``{"text"}``, the next piece. ``done``: the whole turn, as ``GET /v1/turns/{id}`` tells it; its
    ``answer`` is what counts (if a worker is lost, another one starts anew). ``error``: ``{"state"}``, no answer comes.
    """
    first = await run_in_threadpool(turn, ledger, turn_id)
    return EventSourceResponse(growing(first, lambda: turn(ledger, turn_id)), ping=_PING_SECONDS)


async def growing(first: Turn, look: Callable[[], Turn]) -> AsyncIterator[ServerSentEvent]:
    """The events of one turn, from what is written already to the end."""
    now, sent, pause = first, "", SHORTEST_PAUSE
    while True:
        if now.state == JobState.DONE:
            if now.answer.startswith(sent) and now.answer != sent:
                yield _token(now.answer[len(sent) :])
            yield ServerSentEvent(TurnAnswer.model_validate(now).model_dump_json(), event="done")
            return
        if now.state in {JobState.DEAD, JobState.CANCELLED}:
            yield ServerSentEvent(json.dumps({"state": now.state}), event="error")
            return
        if now.answer.startswith(sent) and now.answer != sent:
            yield _token(now.answer[len(sent) :])
            sent, pause = now.answer, SHORTEST_PAUSE
        else:
            pause = min(pause * 1.5, LONGEST_PAUSE)
        await asyncio.sleep(pause)
        now = await run_in_threadpool(look)


def _token(text: str) -> ServerSentEvent:
    return ServerSentEvent(json.dumps({"text": text}, ensure_ascii=False), event="token")
