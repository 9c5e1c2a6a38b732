"""One bundle's texts of a comparison: pictures from the gateway, many at once through a backend, each kept as made.

Nothing is kept here: whatever ends this process, the gateway has every text that was written, and knows what is open.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

from xraygpt.client import Gateway
from xraygpt.shadow_inputs import shown
from xraygpt_core.errors import InvalidRequest, Rejected
from xraygpt_core.model.backend import Backend, DeviceLost, Generated, RequestFailed
from xraygpt_core.states import ShadowFailure

if TYPE_CHECKING:
    from xraygpt_core.clinical_sealing import ClinicalOpener

Film = Mapping[str, Any]  # an element of ``open`` of POST /v1/comparisons


def write_texts(
    client: Gateway,
    comparison_id: str,
    films: Sequence[Film],
    backend: Backend,
    *,
    ahead: int,
    moved: Callable[[], None],
    opener: "ClinicalOpener | None" = None,
) -> None:
    """Write and keep a text about each film; a film that fails is kept as failed, and the others go on.

    Args:
        ahead: films that are with the backend at once. A film that was alone there when the device failed is kept as
            failed.
        moved: called after each.
        opener: opens what is known of the films; without it those that have words fail.

    Raises:
        GatewayError: the gateway refuses, or does not answer. DeviceLost, ServerBusy, Unavailable: the backend cannot
            go on. What was written until then is kept.
    """
    keep = _Keeper(client, comparison_id)
    waiting, pending, stopped = deque(films), dict["Future[Generated]", Film](), Event()
    try:
        while waiting or pending:
            while waiting and len(pending) < ahead:
                film = waiting.popleft()
                request = shown(client, comparison_id, film, opener)
                if isinstance(request, ShadowFailure):
                    keep(film, {"failed": request})
                    moved()
                    continue
                pending[backend.submit(replace(request, only_chests=True, cancelled=stopped.is_set))] = film
            # What ends all comes last, behind the texts that are there.
            for future in sorted(wait(pending, return_when=FIRST_COMPLETED).done, key=_failed):
                _keep_outcome(keep, pending.pop(future), future, alone=ahead == 1)
                moved()
    finally:
        stopped.set()


def _keep_outcome(keep: "_Keeper", film: Film, future: "Future[Generated]", *, alone: bool) -> None:
    try:
        keep(film, _outcome(future))
    except DeviceLost:
        if alone:  # no other film can have done it, and it would do it again
            keep(film, {"failed": ShadowFailure.MODEL})
        raise


class _Keeper:
    """Sends one text after the other, each with the seconds since the one before."""

    def __init__(self, client: Gateway, comparison_id: str) -> None:
        self._client, self._path = client, f"/v1/comparisons/{comparison_id}/drafts"
        self._last = time.monotonic()

    def __call__(self, film: Film, made: Mapping[str, Any]) -> None:
        now = time.monotonic()
        ids = {name: film[name] for name in ("study_id", "bundle_sha256")}
        self._client.post(self._path, {**ids, **made, "seconds": round(now - self._last, 6)})
        self._last = now


def _failed(future: "Future[Generated]") -> bool:
    return future.exception() is not None


def _outcome(future: "Future[Generated]") -> dict[str, Any]:
    """The text and where it came from, or why there is none. What the backend did not survive is raised."""
    try:
        made = future.result()
    except Rejected:
        return {"failed": ShadowFailure.NOT_A_CHEST}
    except InvalidRequest:
        return {"failed": ShadowFailure.UNREADABLE}
    except RequestFailed:
        return {"failed": ShadowFailure.MODEL}
    if not made.text.strip():
        return {"failed": ShadowFailure.EMPTY}
    origin = {
        name: getattr(made, name) for name in ("prompt", "template", "decoding", "seed", "software", "batch_size")
    }
    times = {name: round(getattr(made, name), 6) for name in ("waited_seconds", "generate_seconds")}
    return {"text": made.text, "tokens": made.tokens, "provenance": origin | times}
