"""The audit, for who must prove what happened: the sealed rows to take along, and a check of the whole chain.

Both come as lines of JSON (``application/x-ndjson``), written while they are read: neither end holds all of it.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api_gateway.auth import UsesLedger, needs
from api_gateway.schemas import Moment
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.audit.chain import ChainHead, ChainProblem, Verdict, read_head
from xraygpt_core.ledger.audit.verify import Sealed, VerifyProgress, exported, verified
from xraygpt_core.states import Role

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_LINES = "application/x-ndjson"
_DESCRIBED: dict[int | str, dict[str, Any]] = {200: {"content": {_LINES: {"schema": {"type": "string"}}}}}
_HeadText = Annotated[str, Query(pattern="^[0-9]{1,18}:[0-9a-f]{64}$", description="`POSITION:DIGEST`")]


@router.get("", response_class=StreamingResponse, responses=_DESCRIBED)
def get_audit(
    ledger: UsesLedger,
    _: Annotated[ApiKey, needs(Role.ADMIN)],
    after: Annotated[int, Query(ge=0, lt=1 << 62)] = 0,
    since: Moment | None = None,
    until: Moment | None = None,
) -> StreamingResponse:
    """Every seal behind position ``after``, each before the rows it took: enough to check the chain without us.

    ``since`` and ``until``: what was sealed from then on, and before. A row that is not sealed yet comes next time.
    """
    pages = exported(ledger, after=after, since=since, until=until)
    return StreamingResponse(_sealed(pages), media_type=_LINES)


@router.get("/verify", response_class=StreamingResponse, responses=_DESCRIBED)
def get_verification(
    ledger: UsesLedger,
    _: Annotated[ApiKey, needs(Role.ADMIN)],
    head: _HeadText | None = None,
    base: _HeadText | None = None,
) -> StreamingResponse:
    """Check the chain. ``{"position", "last"}`` says how far it is, ``{"problem", …}`` what is wrong, the last line how
    it ended: ``{"ok", "head", "seals", "rows"}``.

    ``head`` was seen earlier and must lie on the chain; ``base`` was proved earlier and is where the check begins.
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
        yield json.dumps(_said(one)) + "\n"


def _said(one: VerifyProgress | ChainProblem | Verdict) -> dict[str, Any]:
    match one:
        case VerifyProgress():
            return vars(one)
        case ChainProblem():
            return one.document()
        case Verdict():
            return vars(one) | {"head": str(one.head)}
