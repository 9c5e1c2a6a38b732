"""Uploads: a file goes into the bucket under the hash of its content.

No thread waits for the sender: pieces are written as they come, and a thread stores the complete file.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Request

from api_gateway.auth import Submitter, UsesServices
from api_gateway.concurrency import ConcurrencyLimit
from api_gateway.schemas import Answer
from xraygpt_core.incoming_file import IncomingFile
from xraygpt_core.ledger.audit.record import record_alone

router = APIRouter(tags=["uploads"])

MOST_AT_ONCE, MOST_OF_ONE_KEY = 32, 16
WAIT_SECONDS = 20.0
_THREADS = 8
_PIECE = 1 << 20

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the body, in hex")]


class Uploaded(Answer):
    """The address of the stored file."""

    uri: str


class Arrivals:
    """Uploads that may arrive at once, and the threads that store them."""

    def __init__(self) -> None:
        self.threads = CapacityLimiter(_THREADS)
        self.places = ConcurrencyLimit(MOST_AT_ONCE, MOST_OF_ONE_KEY, WAIT_SECONDS, "too many files arrive at once")


@router.put(
    "/v1/uploads/{sha256}",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"format": "binary"}}}}
    },
)
async def put_upload(sha256: Sha256, request: Request, services: UsesServices, caller: Submitter) -> Uploaded:
    """Store a file as ``uploads/<sha256>``; a repeat changes nothing. 422 if the body has another hash."""
    arrivals: Arrivals = request.app.state.uploads
    async with arrivals.places.slot(caller.identity):
        with IncomingFile(sha256, services.settings.max_object_bytes) as arriving:
            async for piece in _pieces(request.stream()):
                await to_thread.run_sync(arriving.take, piece, limiter=arrivals.threads)
            await to_thread.run_sync(services.store.put_upload, arriving, limiter=arrivals.threads)
        await to_thread.run_sync(record_alone, services.ledger, "file uploaded", limiter=arrivals.threads)
    return Uploaded(uri=f"s3://{services.settings.bucket}/uploads/{sha256}")


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body in pieces of about a MiB."""
    piece = bytearray()
    async for chunk in stream:
        piece += chunk
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
