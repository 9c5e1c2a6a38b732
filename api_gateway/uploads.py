"""A person's own file, on its way into the bucket under the hash of its content."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Path, Request

from api_gateway.auth import Caller, UsesServices
from api_gateway.wire import Answer
from xraygpt_core.ledger.audit import record_alone

router = APIRouter(tags=["uploads"])

# A slow sender holds a thread; these are not the threads that answer everybody else.
MAX_UPLOADS_AT_ONCE = 8

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the body, in hex")]


class Uploaded(Answer):
    """Where the file lies now."""

    uri: str


@router.put(
    "/v1/uploads/{sha256}",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"format": "binary"}}}}
    },
)
async def put_upload(sha256: Sha256, request: Request, services: UsesServices, _: Caller) -> Uploaded:
    """Store a file as ``uploads/<sha256>``; a repeat changes nothing. 422 if the body has another hash."""
    chunks = _from_thread(request.stream())
    store, limiter = services.store, request.app.state.uploads

    def keep() -> None:
        store.put_upload(sha256, chunks)
        record_alone(services.ledger, "file uploaded")

    await anyio.to_thread.run_sync(keep, limiter=limiter)
    return Uploaded(uri=f"s3://{services.settings.bucket}/uploads/{sha256}")


def _from_thread(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The body's chunks, for a thread that reads them while the event loop receives them."""

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(following)) is not None:
        yield chunk
