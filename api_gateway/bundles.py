"""Change the bundle that the GPU workers serve."""

from fastapi import APIRouter

from api_gateway.auth import Admin, UsesLedger
from api_gateway.schemas import Answer, Request, Text
from xraygpt_core.ledger.training.serving import roll_back, serve

router = APIRouter(prefix="/v1/bundles", tags=["training"])


class BundleRequest(Request):
    """A bundle that lies in the models directory of every GPU worker."""

    bundle: Text


class ServedBundle(Answer):
    """The bundle that is served from now on; summaries that are being written finish with the one before."""

    bundle: str


@router.post("/serve")
def post_serve(body: BundleRequest, ledger: UsesLedger, _: Admin) -> ServedBundle:
    """Serve a bundle by name."""
    return ServedBundle(bundle=serve(ledger, body.bundle).name)


@router.post("/rollback")
def post_rollback(ledger: UsesLedger, _: Admin) -> ServedBundle:
    """Serve the bundle that was served before. 409 if there was none."""
    return ServedBundle(bundle=roll_back(ledger).name)
