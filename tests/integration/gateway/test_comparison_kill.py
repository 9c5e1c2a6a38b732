"""A comparison whose process is killed amid its work goes on with what is left: each text is there once."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.api_keys import create_api_key
from tests.support.comparison_tools import film
from tests.support.gateway_process import Gateway
from tests.support.ledger_tools import one, rows
from tests.support.vision_server import SmallVision, small_vision, vision_bundle

World = Any

FILMS = 4
TEXTS = "SELECT study_id, bundle, text, at FROM shadow_drafts WHERE state = 'written' ORDER BY study_id, bundle"
KEPT = "SELECT count(*) FROM audit WHERE what = 'shadow draft kept'"


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (256, 256), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def gateway(world: World) -> Iterator[dict[str, str]]:
    """A gateway as a process; the environment that leads a command to it."""
    process = Gateway(world.settings).ready()
    key = create_api_key(world.ledger, "compares")
    yield {"XRAYGPT_GATEWAY_URL": process.url, "XRAYGPT_API_KEY": key}
    process.end(signal.SIGKILL)


class Comparing:
    """The command, as often as a test wants; the server that both bundles are at sees each request."""

    def __init__(self, small: SmallVision, environment: dict[str, str], batch_size: int) -> None:
        self._small, self._environment = small, environment
        options = ["--batch-size", str(batch_size), "--json"]
        self._command = [sys.executable, "-m", "xraygpt", "compare", "one", "two", *options]

    def killed_at(self, number: int, patch: pytest.MonkeyPatch) -> None:
        """Run it until the server is asked for so many texts: then SIGKILL."""
        asked, begun = count(1), self._start()

        def pieces(body: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
            if next(asked) == number:
                begun.kill()
            return SmallVision.pieces(self._small, body)

        with patch.context() as patched:
            patched.setattr(self._small, "pieces", pieces)
            _, why = begun.communicate(timeout=240)
        assert begun.returncode == -signal.SIGKILL, why

    def finished(self) -> dict[str, Any]:
        said, why = (begun := self._start()).communicate(timeout=240)
        assert begun.returncode == 0, why
        found: dict[str, Any] = json.loads(said)
        return found

    def _start(self) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, env=self._environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.long
@pytest.mark.parametrize(("batch_size", "moments"), [(1, (1, 3, 4)), (2, (2, 6))])
def test_a_comparison_that_is_killed_again_and_again_has_each_text_once(
    world: World,
    gateway: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    moments: tuple[int, ...],
) -> None:
    for seed in range(FILMS):
        film(world, picture=png(seed))
    with small_vision() as small:
        for name in ("one", "two"):
            vision_bundle(tmp_path, small.url, name, prompt={"question": f"What does {name} see?"})
        command = Comparing(small, os.environ | gateway | {"XRAYGPT_MODELS": str(tmp_path)}, batch_size)
        before: list[dict[str, Any]] = []
        for number in moments:
            command.killed_at(number, monkeypatch)
            now = rows(world.ledger, TEXTS)
            assert [text for text in before if text not in now] == []  # what was kept stays as it was
            before = now
        assert len(before) < 2 * FILMS
        found = command.finished()
    assert (found["comparison"]["studies"], found["comparison"]["open"]) == (FILMS, 0)
    assert [found["bundles"][side]["written"] for side in ("first", "second")] == [FILMS, FILMS]
    texts = rows(world.ledger, TEXTS)
    assert [text for text in before if text not in texts] == []
    assert len({(text["study_id"], text["bundle"]) for text in texts}) == len(texts) == 2 * FILMS
    assert one(world.ledger, "SELECT count(*) FROM comparisons") == 1
    assert one(world.ledger, f"{KEPT} AND CAST(detail ->> 'kept' AS boolean)") == 2 * FILMS
