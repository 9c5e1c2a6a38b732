"""A request that kills the vLLM server is found among those that were only there, and nobody else is blamed."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

import pytest

from tests.support.vllm_server import SmallVllm
from xraygpt_core.model.backend import Generated, GenerationRequest, RequestFailed, ServerBusy
from xraygpt_core.model.remote import engine as remote_engine
from xraygpt_core.model.remote.quarantine import Quarantine
from xraygpt_core.model.vllm.backend import VllmEngine

Png = Callable[[int], bytes]
Make = Callable[..., VllmEngine]
ATTEMPTS = 5


@dataclass
class Outages:
    """A server that dies of one study, and is started again only when everybody's patience is over."""

    server: SmallVllm
    engine: VllmEngine
    late: bool = False

    def monotonic(self) -> float:
        return time.monotonic() + (self.engine._patience + 1 if self.late else 0)

    def deadly(self, png: bytes) -> GenerationRequest:
        """A request that kills the server from now on."""
        self.engine.submit(GenerationRequest(png)).result(60)
        self.server.dies_of = self.server.asked[-1]["prompt_embeds"]
        return GenerationRequest(png)

    def ends(self, futures: list[Future[Generated]]) -> list[BaseException | None]:
        """What becomes of these, if the server dies or not."""
        while not self.server.dead.is_set() and wait(futures, 0.01).not_done:
            continue
        self.late = self.server.dead.is_set()
        errors = [future.exception(120) for future in futures]
        self.late = False
        self.server.dead.clear()
        return errors

    def begun(self, requests: list[GenerationRequest]) -> list[Future[Generated]]:
        return [self.engine.submit(request) for request in requests]


@pytest.fixture
def outages(server: SmallVllm, make: Make, monkeypatch: pytest.MonkeyPatch) -> Outages:
    made = Outages(server, make(batch_size=4))
    monkeypatch.setattr(remote_engine, "time", made)
    return made


def test_a_study_that_kills_the_server_uses_up_its_attempts_and_costs_its_mates_none(
    outages: Outages, noise_png: Png
) -> None:
    killer, mates = outages.deadly(noise_png(0)), [GenerationRequest(noise_png(number)) for number in (1, 2, 3)]
    outages.server.pause = threading.Event()
    for _ in range(2):
        outages.server.asked.clear()
        running = outages.begun(mates)
        while len(outages.server.asked) < len(mates):
            wait(running, 0.01)
        errors = outages.ends(running + outages.begun([killer]))  # it comes when all of them are being answered
        assert {type(error) for error in errors} == {ServerBusy}
    outages.server.pause.set()
    attempts = rounds = 0
    while attempts < ATTEMPTS:
        guilty, *errors = outages.ends(outages.begun([killer, *mates]))
        attempts, rounds = attempts + isinstance(guilty, RequestFailed), rounds + 1
        assert {type(error) for error in errors} <= {ServerBusy, type(None)}
        assert rounds < 50
    assert outages.ends(outages.begun(mates)) == [None] * 3


def test_a_study_that_kills_the_server_is_found_when_there_are_no_others(outages: Outages, noise_png: Png) -> None:
    killer = outages.deadly(noise_png(0))
    errors = [type(*outages.ends(outages.begun([killer]))) for _ in range(4)]
    assert errors == [ServerBusy, ServerBusy, RequestFailed, RequestFailed]


@pytest.mark.parametrize("alone", [False, True])
def test_a_server_that_is_down_for_long_costs_nobody_anything(
    server: SmallVllm, make: Make, noise_png: Png, alone: bool
) -> None:
    engine = make(patience=0.1)
    server.dead.set()
    for _ in range(6):
        assert isinstance(engine.submit(GenerationRequest(noise_png(1), alone=alone)).exception(120), ServerBusy)
    server.dead.clear()
    engine._patience = 60.0
    assert engine.submit(GenerationRequest(noise_png(1), alone=alone)).result(120).tokens


@pytest.mark.parametrize("alone", [False, True])
def test_a_server_that_fails_on_everything_costs_nobody_anything(
    server: SmallVllm, make: Make, noise_png: Png, alone: bool
) -> None:
    engine = make(patience=0.1)
    server.refuses["/v1/completions"] = 500
    for _ in range(6):
        assert isinstance(engine.submit(GenerationRequest(noise_png(1), alone=alone)).exception(120), ServerBusy)


def test_a_suspect_has_the_server_to_itself_and_the_others_follow(
    server: SmallVllm, make: Make, noise_png: Png
) -> None:
    engine = make(batch_size=3)
    server.pause = threading.Event()
    suspect = engine.submit(GenerationRequest(noise_png(1), alone=True))
    while not server.asked:
        wait([suspect], 0.01)
    others = [engine.submit(GenerationRequest(noise_png(number))) for number in (2, 3)]
    assert not wait(others, 0.3).done
    asked = len(server.asked)
    server.pause.set()
    assert all(future.result(120).tokens for future in [suspect, *others])
    assert asked <= 2  # what is known to be good, and the suspect


def test_one_restart_makes_nobody_a_suspect_and_an_answer_clears_one() -> None:
    quarantine = Quarantine()
    assert [quarantine.broke_down(1) or quarantine.is_suspect(1) for _ in range(3)] == [False, True, True]
    assert not quarantine.is_suspect(2)
    quarantine.clear(1)
    assert not quarantine.is_suspect(1)


def test_many_are_there_together_but_a_suspect_is_there_alone() -> None:
    quarantine = Quarantine()
    with quarantine.admission(False) as first, quarantine.admission(False) as second:
        assert first
        assert second
        with quarantine.reserved(True):
            for alone in (True, False):
                with quarantine.admission(alone) as admitted:
                    assert not admitted
    with quarantine.reserved(True), quarantine.admission(True) as suspect:
        assert suspect
        for alone in (True, False):
            with quarantine.admission(alone) as admitted:
                assert not admitted
    with quarantine.admission(False) as admitted:
        assert admitted
