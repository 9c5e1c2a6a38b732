"""GPU workers before a chat server, and any of them killed at a moment of chance: nothing lost, nothing twice.

The short form, a few kills in a bench, is in tests/integration/workers/test_served_by_server.py.
"""

import hashlib
import io
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.chaos import arena as system
from tests.chaos.arena import Arena
from tests.support.vision_server import VisionProcess, vision_bundle

KILLS = 30 * int(os.environ.get("XRAYGPT_CHAOS_ROUNDS", "1"))
LOAD = 6

pytestmark = [pytest.mark.long, pytest.mark.timeout(60 * KILLS)]


def png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def upload(arena: Arena, count: int) -> list[dict[str, Any]]:
    """As :meth:`Arena.upload`, but of pictures that a server can read."""
    first, arena.uploaded = arena.uploaded, arena.uploaded + count
    return [arena.put(f"films/{number:06d}.png", png(number)) for number in range(first, first + count)]


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisionProcess]:
    """A chat server, and an arena whose GPU workers are the product's own and serve its bundle."""
    made, models = VisionProcess(), tmp_path_factory.mktemp("models")
    vision_bundle(models, made.url, timeout=2.0)
    made.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("gpu-1", "gpu-2"):
            patch.setitem(system.COMMANDS, name, [sys.executable, "-m", "workers", "gpu"])
        patch.setattr(Arena, "upload", upload)
        patch.setenv("XRAYGPT_MODELS", str(models))
        patch.setenv("XRAYGPT_BUNDLE", "vision")
        yield made
    made.kill()


def test_whatever_is_killed_each_film_is_summarised_once_by_what_it_shows(arena: Arena, server: VisionProcess) -> None:
    killed = {"server": 0, "gpu-1": 0, "gpu-2": 0}
    for _ in range(KILLS):
        victim = random.choice(sorted(killed))
        arena.load(LOAD)
        if victim == "server":
            worker = random.choice(["gpu-1", "gpu-2"])
            arena.wait_until(lambda worker=worker: arena.busy(worker) or not arena.value(system.UNFINISHED), "at work")
            server.kill()
            server.start()
        else:
            arena.wait_until(lambda: arena.busy(victim) or not arena.value(system.UNFINISHED), "at work")  # noqa: B023
            arena.kill(victim)
        killed[victim] += 1
    counts = arena.settle_down()
    assert counts["dead"] == 0
    texts = arena.rows("SELECT study_id, summary FROM summaries")
    assert len(texts) == len({text["study_id"] for text in texts}) == arena.uploaded
    films = sorted(hashlib.sha256(png(number)).hexdigest()[:16] for number in range(arena.uploaded))
    assert sorted(text["summary"].split(" ")[2] for text in texts) == films
