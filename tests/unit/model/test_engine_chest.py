"""An engine whose bundle has a chest check: what is no chest is refused, alone, and before anybody sees a word."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from tests.support.vllm_server import SmallVllm
from xraygpt_core.errors import Rejected
from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.chest_check import ChestCheck, save_chest_check, zones_of
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.encoders.encoder import load_encoder
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer
from xraygpt_core.states import ReasonCode

Png = Callable[[int], bytes]
PICTURES = range(6)


class Trial:
    """A bundle whose head likes some pictures of noise and refuses others, in the order of their scores."""

    def __init__(self, tiny: Bundle, models: Path, noise_png: Png) -> None:
        encoder = load_encoder(tiny.encoder, tiny.encoder_weights, dict(tiny.encoder_options))
        features = encoder.encode(torch.stack([encoder.preprocess(noise_png(number)) for number in PICTURES]))
        weight = torch.randn(zones_of(encoder.positions), encoder.channels, generator=torch.Generator().manual_seed(5))
        scores = ChestCheck(weight, 0, 0, 0).scores(features)
        order, ranked = scores.argsort().tolist(), scores.sort().values.tolist()
        check = ChestCheck(weight, 0, sum(ranked[1:3]) / 2, sum(ranked[3:5]) / 2)
        save_chest_check(check, models / "head.safetensors")
        self.bundle = compose_bundle(
            tiny, models, "checked", projector=None, adapter=None, chest_check=models / "head.safetensors"
        )
        self.other, self.doubtful, self.chest = (noise_png(order[place]) for place in (0, 3, 5))
        self.score = ranked[5]


@pytest.fixture(scope="module")
def trial(tiny: Bundle, tmp_path_factory: pytest.TempPathFactory, noise_png: Png) -> Trial:
    return Trial(tiny, tmp_path_factory.mktemp("models"), noise_png)


@pytest.fixture(scope="module")
def engine(trial: Trial) -> Iterator[Engine]:
    made = Engine(trial.bundle, device="cpu", batch_size=4, dtype=torch.float32)
    yield made
    made.close()


def outcome(future: "Future[Generated]") -> str | None:
    """A text, or None for what was refused as no chest."""
    error = future.exception(60)
    if error is None:
        return future.result().text
    assert isinstance(error, Rejected)
    assert error.reason is ReasonCode.NOT_A_CHEST
    return None


def test_what_is_no_chest_is_refused_before_anybody_sees_a_word(engine: Engine, trial: Trial) -> None:
    texts: list[str] = []
    assert outcome(engine.submit(GenerationRequest(trial.other, only_chests=True, on_text=texts.append))) is None
    assert texts == []


def test_its_batch_mates_say_what_they_say_alone(engine: Engine, trial: Trial) -> None:
    alone = [outcome(engine.submit(GenerationRequest(png))) for png in (trial.chest, trial.doubtful)]
    pictures = (trial.chest, trial.other, trial.other, trial.doubtful)
    futures = [engine.submit(GenerationRequest(png, only_chests=True)) for png in pictures]
    assert [outcome(future) for future in futures] == [alone[0], None, None, alone[1]]


def test_the_score_comes_with_the_text(engine: Engine, trial: Trial) -> None:
    made = engine.submit(GenerationRequest(trial.chest, only_chests=True)).result(60)
    assert made.chest is not None
    assert made.chest.score == pytest.approx(trial.score, abs=0.01)
    assert not made.chest.uncertain


def test_a_picture_in_doubt_gets_its_text_and_the_doubt(engine: Engine, trial: Trial) -> None:
    made = engine.submit(GenerationRequest(trial.doubtful, only_chests=True)).result(60)
    assert made.chest is not None
    assert made.chest.uncertain


def test_who_evaluates_a_bundle_gets_a_text_of_everything(engine: Engine, trial: Trial) -> None:
    made = engine.submit(GenerationRequest(trial.other)).result(60)
    assert made.chest is not None
    assert made.chest.uncertain


def test_a_question_about_a_picture_that_has_a_text_is_answered(engine: Engine, trial: Trial) -> None:
    assert engine.submit(GenerationRequest(trial.other, "why?", (("a", "b"),))).result(60).text


def test_a_bundle_without_a_check_finds_nothing(tiny: Bundle, trial: Trial) -> None:
    bare = Engine(tiny, device="cpu", batch_size=1, dtype=torch.float32)
    try:
        assert bare.submit(GenerationRequest(trial.other, only_chests=True)).result(60).chest is None
    finally:
        bare.close()


def test_with_vllm_the_server_is_not_asked_about_what_is_no_chest(trial: Trial, server: SmallVllm) -> None:
    backend = VllmEngine(
        trial.bundle, VllmServer(server.url), device="cpu", batch_size=2, dtype=torch.float32, patience=60
    )
    try:
        before = len(server.asked)
        assert outcome(backend.submit(GenerationRequest(trial.other, only_chests=True))) is None
        assert len(server.asked) == before
        made = backend.submit(GenerationRequest(trial.doubtful, only_chests=True)).result(60)
        assert made.chest is not None
        assert made.chest.uncertain
        turn = backend.submit(GenerationRequest(trial.other, "why?", (("a", "b"),))).result(60)
        assert turn.chest is not None  # as with our own engine
    finally:
        backend.close()
