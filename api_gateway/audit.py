"""The audit: an export of the sealed rows, and a check of the whole chain.

Both are streams of JSON lines (``application/x-ndjson``), so neither end holds all of it in memory.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api_gateway.auth import Admin, UsesLedger
from api_gateway.schemas import Moment
from xraygpt_core.ledger.audit.chain import ChainHead, ChainProblem, Verdict, read_head
from xraygpt_core.ledger.audit.verify import Sealed, VerifyProgress, exported, verified

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_LINES = "application/x-ndjson"
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": {_LINES: {"schema": {"type": "string"}}}}}
_HeadText = Annotated[str, Query(pattern="^[0-9]{1,18}:[0-9a-f]{64}$", description="`POSITION:DIGEST`")]


@router.get("", response_class=StreamingResponse, responses=_RESPONSES)
def get_audit(
    ledger: UsesLedger,
    _: Admin,
    after: Annotated[int, Query(ge=0, lt=1 << 62)] = 0,
    since: Moment | None = None,
    until: Moment | None = None,
) -> StreamingResponse:
    """Every seal behind position ``after``, each before its rows: enough to check the chain without us.

    ``since`` and ``until``: what was sealed from then on, and before. A row that is not sealed yet comes next time.
    """
    pages = exported(ledger, after=after, since=since, until=until)
    return StreamingResponse(_sealed(pages), media_type=_LINES)


@router.get("/verify", response_class=StreamingResponse, responses=_RESPONSES)
def get_verification(
    ledger: UsesLedger,
    _: Admin,
    head: _HeadText | None = None,
    base: _HeadText | None = None,
) -> StreamingResponse:
    """Check the chain.

    ``{"position", "last"}`` is progress, ``{"problem", …}`` a finding, and the last line the verdict: ``{"ok", "head",
    "seals", "rows"}``. ``head`` was seen earlier and must lie on the chain; the check begins at ``base``, which was
    proved earlier.
    """
    return StreamingResponse(_verdict(verified(ledger, base=_head(base), seen=_head(head))), media_type=_LINES)


def _head(text: str | None) -> ChainHead | None:
    return None if text is None else read_head(text)


def _sealed(pages: Iterator[list[Sealed]]) -> Iterator[str]:
    for page in pages:
        lines = [line for one in page for line in (one.seal.line(), *(one.rows[number] for number in sorted(one.rows)))]
        yield "".join(f"{line}\n" for line in lines)


def _verdict(found: Iterator[VerifyProgress | ChainProblem | Verdict]) -> Iterator[str]:
    for one in found:
        yield json.dumps(_described(one)) + "\n"


def _described(one: VerifyProgress | ChainProblem | Verdict) -> dict[str, Any]:
    match one:
        case VerifyProgress():
            return vars(one)
        case ChainProblem():
            return one.document()
        case Verdict():
            return vars(one) | {"head": str(one.head)}
