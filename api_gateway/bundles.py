"""Change the bundle that the GPU workers serve."""

from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import Admin
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, Request, Text
from xraygpt_core.ledger.training.serving import roll_back, serve

router = APIRouter(prefix="/v1/bundles", tags=["training"])


class BundleRequest(Request):
    """A bundle in the models directory of every GPU worker; ``because``: the comparison that speaks for it."""

    bundle: Text
    because: UUID | None = None


class ServedBundle(Answer):
    """The bundle that is served from now on; summaries that are being written finish with the one before."""

    bundle: str


@router.post("/serve")
def post_serve(body: BundleRequest, once: RunsOnce, _: Admin) -> ServedBundle:
    """Serve a bundle by name. 409 if the comparison it names is unfinished, or of other bundles."""
    return ServedBundle.model_validate(once(lambda ledger: {"bundle": serve(ledger, body.bundle, body.because).name}))


@router.post("/rollback")
def post_rollback(once: RunsOnce, _: Admin) -> ServedBundle:
    """Serve the bundle that was served before. 409 if there was none."""
    return ServedBundle.model_validate(once(lambda ledger: {"bundle": roll_back(ledger).name}))
