"""SQL for analysts, over the views."""

from fastapi import APIRouter
from pydantic import JsonValue

from api_gateway.auth import Caller, UsesServices
from api_gateway.limits import spends
from api_gateway.wire import Answer, Request, Text
from xraygpt_core.reader import run_query

router = APIRouter(tags=["query"])


class Query(Request):
    """One statement."""

    sql: Text


class Result(Answer):
    """Column names and rows. ``truncated``: there were more than 10000 rows, or 32 MiB."""

    columns: list[str]
    rows: list[list[JsonValue]]
    truncated: bool


@router.post("/v1/query", dependencies=[spends("query")])
def post_query(body: Query, services: UsesServices, _: Caller) -> Result:
    """Run one SELECT as the role ``xraygpt_reader``: read-only, at most 10 seconds, 10000 rows and 32 MiB."""
    return Result.model_validate(run_query(services.settings, body.sql))
