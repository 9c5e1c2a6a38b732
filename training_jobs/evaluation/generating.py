"""The texts that are scored, by the engine that serves."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing

from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine

Notify = Callable[[int, int], None]


def summaries(bundle: Bundle, pictures: Sequence[bytes], batch: int, notify: Notify, device: str = "auto") -> list[str]:
    """The text for each PNG; only so many pictures are decoded as keep the engine busy."""
    texts: list[str] = []
    waiting: deque[Future[Generated]] = deque()
    with closing(Engine(bundle, device=device, batch_size=batch)) as engine:
        for number, picture in enumerate(pictures, 1):
            waiting.append(engine.submit(GenerationRequest(picture)))
            while waiting and (len(waiting) > 2 * batch or number == len(pictures)):
                texts.append(waiting.popleft().result().text)
                notify(len(texts), len(pictures))
    return texts
