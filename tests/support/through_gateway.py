"""The command's client on a gateway inside this process: what it sends is what a socket would carry."""

from typing import Any

import httpx

from xraygpt.client import Gateway


class _Through(httpx.BaseTransport):
    """Hands each request to a test client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = {name: value for name, value in request.headers.items() if name != "host"}
        path = request.url.raw_path.decode()
        answer = self._client.request(request.method, path, headers=sent, content=request.read())
        return httpx.Response(answer.status_code, content=answer.content)


def through(client: Any) -> Gateway:
    """A gateway's client with the key of this test client; it repeats nothing."""
    key = client.headers["Authorization"].removeprefix("Bearer ")
    return Gateway("http://testserver", key, patience=0, transport=_Through(client))
