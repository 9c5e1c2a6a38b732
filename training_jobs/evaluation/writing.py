"""A bundle's texts about films, as many at once as its engine has slots, each with what went wrong if anything did."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from training_jobs.corpora.sources import Source, preparing
from xraygpt_core.errors import InvalidRequest, Rejected, TrainingError
from xraygpt_core.model.backend import Backend, DeviceLost, Generated, GenerationRequest, RequestFailed
from xraygpt_core.model.bundle import Bundle

Notify = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """One film's text; or why there is none.

    Attributes:
        problem: a sentence without the film's path.
    """

    uid: str
    text: str = ""
    problem: str | None = None


def write_texts(bundle: Bundle, films: Iterable[tuple[str, Path]], batch: int, device: str) -> Iterator[Written]:
    """The text of each (id, image file), in their order; films are decoded in a sandbox, as those to train on are.

    Raises:
        TrainingError: the device is lost.
    """
    from xraygpt_core.model.engine.engine import Engine  # torch, only where it is needed

    waiting: deque[tuple[str, Future[Generated] | str]] = deque()
    order: deque[str] = deque()
    with closing(Engine(bundle, device=device, batch_size=batch)) as engine, preparing(1) as prepare:
        for picture, png in prepare(_sources(films, order)):
            waiting.append((order.popleft(), _asked(engine, png) if picture.dropped is None else picture.why))
            while len(waiting) > 2 * batch:
                yield _written(*waiting.popleft())
        while waiting:
            yield _written(*waiting.popleft())


def _sources(films: Iterable[tuple[str, Path]], order: deque[str]) -> Iterator[Source]:
    for uid, file in films:
        order.append(uid)
        yield Source(str(file))


def _asked(engine: Backend, png: bytes) -> Future[Generated] | str:
    try:
        return engine.submit(GenerationRequest(png))
    except InvalidRequest as error:
        return f"the model does not take it: {error}"


def _written(uid: str, found: Future[Generated] | str) -> Written:
    if isinstance(found, str):
        return Written(uid, problem=found)
    try:
        return Written(uid, found.result().text)
    except DeviceLost as error:
        raise TrainingError(f"the device is lost: {error}; start the same command again to go on") from error
    except (InvalidRequest, Rejected, RequestFailed) as error:
        return Written(uid, problem=f"the model does not take it: {error}")
