"""The application: routes, limits, errors. Its caller opens and closes what it works with."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from api_gateway import (
    audit,
    backlogs,
    bundles,
    cards,
    chat,
    comparisons,
    dead,
    docs,
    events,
    handles,
    health,
    images,
    keys,
    lookup,
    numbers,
    ops,
    query,
    reading_room,
    reviews,
    selections,
    sessions,
    studies,
    study_readers,
    submissions,
    summaries,
    training,
    training_files,
    uploads,
    worklist,
)
from api_gateway.acts import Acts
from api_gateway.body_limits import BodyLimit
from api_gateway.dependencies import Dependencies
from api_gateway.key_before_body import KeyBeforeBody
from api_gateway.middleware import Measured
from api_gateway.problems import RESPONSES, Problem, translate_errors
from api_gateway.rate_limits import RateLimits
from api_gateway.roles import doors
from api_gateway.sns import Sns
from xraygpt_core.clinical_sealing import ClinicalSealer
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.sealing import Sealer
from xraygpt_core.storage import ObjectStore

ROUTES = (
    sessions,
    worklist,
    selections,
    submissions,
    studies,
    numbers,
    study_readers,
    images,
    uploads,
    events,
    chat,
    summaries,
    reviews,
    training,
    training_files,
    bundles,
    comparisons,
    cards,
    backlogs,
    dead,
    ops,
    lookup,
    handles,
    query,
    keys,
    audit,
    health,
)
_ABOUT = """
From chest X-rays in S3 to summaries in Postgres. Every text is an AI-generated draft, not a diagnosis.

Send an API key with every request. Errors are `application/problem+json` (RFC 9457). A request that changes something
takes an `Idempotency-Key`: repeated under the same key it has its effect once.
"""


def create_app(
    ledger: Ledger,
    store: ObjectStore,
    pseudonymiser: Pseudonymiser,
    sns: Sns | None = None,
    sealer: Sealer | None = None,
    clinical: ClinicalSealer | None = None,
) -> FastAPI:
    """An application that works with these. The caller closes them."""
    app = FastAPI(
        title="XrayGPT",
        version=version("xraygpt"),
        description=_ABOUT,
        responses=RESPONSES,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    sns = sns or Sns(ledger.settings)
    app.state.services = Dependencies(ledger, store, pseudonymiser, sns, sealer, clinical)
    app.state.acts = Acts(doors(routes.router for routes in ROUTES), numbers=sealer is not None)
    app.state.limits = RateLimits(ledger.settings)
    app.state.uploads = uploads.Arrivals()
    app.state.queries = query.query_slots(ledger.settings.queries_at_once)
    for routes in ROUTES:
        app.include_router(routes.router)
    docs.serve_docs(app)
    reading_room.serve_room(app)
    translate_errors(app)
    app.add_middleware(BodyLimit, uploads_bytes=ledger.settings.max_object_bytes, limits=app.state.limits)
    app.add_middleware(KeyBeforeBody, ledger=ledger, limits=app.state.limits)
    app.add_middleware(Measured)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Add the schema of Problem, to which every route refers, to the document once."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= schema.pop("$defs", {}) | {"Problem": schema}
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend the document
