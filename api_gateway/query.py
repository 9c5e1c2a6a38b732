"""Analysts' SQL over the views. Each statement runs in a process of its own, and no thread waits for it."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Response as AnyResponse
from fastapi.concurrency import run_in_threadpool
from pydantic import JsonValue
from starlette.types import Receive, Scope, Send

from api_gateway.auth import UsesServices, needs
from api_gateway.concurrency import ConcurrencyLimit
from api_gateway.rate_limits import spends
from api_gateway.schemas import Answer, Text
from api_gateway.schemas import Request as Body
from xraygpt_core.analyst_sql.query import COMMAND, answered, asked, environment
from xraygpt_core.analyst_sql.rows import MAX_BYTES, MAX_SECONDS
from xraygpt_core.errors import InvalidRequest, XrayGPTError
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.audit.record import DONE, FAILED, record_alone
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Role

router = APIRouter(tags=["query"])

_START_SECONDS = 3.0  # for the process itself
_END_SECONDS = 1.0  # after its answer
_SEND_SECONDS = 60.0  # for the answer: it keeps its slot while it is sent
_PIECE = 64 << 10
_WAIT_SECONDS = 2.0


class Query(Body):
    """One statement."""

    sql: Text


class QueryResult(Answer):
    """Column names, PostgreSQL's names of their types, and rows; numbers have all of their digits.

    ``truncated``: there were more than 10000 rows, or 32 MiB.
    """

    columns: list[str]
    types: list[str]
    rows: list[list[JsonValue]]
    truncated: bool


def query_slots(at_once: int) -> ConcurrencyLimit:
    """The slots of queries; one key may not take all of them."""
    return ConcurrencyLimit(
        at_once, max(1, at_once - at_once // 4), _WAIT_SECONDS, "as many queries run as may: try again soon"
    )


@router.post("/v1/query", dependencies=[spends("query")], response_model=QueryResult)
async def post_query(
    body: Query, request: Request, services: UsesServices, caller: Annotated[ApiKey, needs(Role.ANALYST)]
) -> AnyResponse:
    """Run one SELECT as the role ``xraygpt_reader``: read-only, at most 10 seconds, 10000 rows and 32 MiB.

    429 while all slots are taken.
    """
    question = asked(services.settings, body.sql)
    slots: ConcurrencyLimit = request.app.state.queries
    async with AsyncExitStack() as slot:
        await slot.enter_async_context(slots.slot(caller.identity))
        try:
            answer = await _unless_gone(request, question)
        except XrayGPTError:
            await run_in_threadpool(_keep, services.ledger, body.sql, FAILED)
            raise
        await run_in_threadpool(_keep, services.ledger, body.sql, DONE)
        return _Held(answer, slot.pop_all())


def _keep(ledger: Ledger, statement: str, outcome: str) -> None:
    """Record the statement's hash before any row leaves. Its text may name a patient, or quote a patient's words."""
    digest = sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()
    record_alone(ledger, "query run", detail={"sha256": digest}, outcome=outcome)


async def _unless_gone(request: Request, question: bytes) -> bytes:
    """The answer. If the client hangs up meanwhile, the query's process is killed."""
    work = asyncio.ensure_future(_run(question))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise InvalidRequest("the client hung up before the answer")
        return answered(await work)
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _run(question: bytes) -> bytes:
    """The output of the query's process, which is gone when this returns."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment(), limit=1 << 20
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output = bytearray()
    try:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(MAX_SECONDS + _START_SECONDS):
                process.stdin.write(question)
                process.stdin.close()
                while piece := await process.stdout.read(1 << 20):
                    output += piece
                    if len(output) > 2 * MAX_BYTES:  # the process counts, too, but need not be trusted
                        break
                else:
                    async with asyncio.timeout(_END_SECONDS):
                        await process.wait()
    finally:
        if process.returncode is None:  # a process that ended by itself must not be killed: asyncio would lose its exit
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.shield(process.wait())
    return bytes(output)


class _Held(AnyResponse):
    """An answer that keeps its slot until it is sent, so that slow readers cannot fill the memory."""

    def __init__(self, content: bytes, slot: AsyncExitStack) -> None:
        super().__init__(content, media_type="application/json")
        self._slot = slot

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        async with self._slot, asyncio.timeout(_SEND_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self.body), _PIECE):
                piece = bytes(self.body[start : start + _PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
