"""The committed weights: they read phantoms, an honest probe finds the findings in them, and they can still learn."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from training_jobs.drawers.drawings import draw, phantoms
from training_jobs.learning.objective import Exchange, answer_loss
from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle, verify
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.model.prompt import template_named
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.paths import models_dir
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.scores import micro_f1
from xraygpt_core.training.config import Phantoms

_TRAIN, _TEST = 160, 64  # phantoms of the probe
_READ = 16  # phantoms that the engine puts into words


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return fetch_demo_bundle(models_dir(), lambda _line: None)


@pytest.fixture(scope="module")
def loaded(bundle: Bundle) -> Loaded:
    return load(bundle, "cpu", torch.float32)


@dataclass(frozen=True)
class Drawn:
    """Held-out phantoms, their features and their truth (n, slots)."""

    pictures: list[bytes]
    reports: list[str]
    features: Tensor
    truth: Tensor


@pytest.fixture(scope="module")
def held_out(loaded: Loaded) -> Drawn:
    drawn = [draw(drawing) for drawing in phantoms(Phantoms(_TRAIN + _TEST, 10_000, "held_out"))]
    images = [loaded.encoder.preprocess(one.png) for one in drawn]
    features = torch.cat([loaded.features(images[start : start + 16]) for start in range(0, len(images), 16)])
    truth = torch.tensor([[one.truth[name] for name in ("view", *LABELS)] for one in drawn])
    return Drawn([one.png for one in drawn], [one.report for one in drawn], features, truth)


def labels_of(row: Tensor) -> frozenset[str]:
    return frozenset(label for label, there in zip(LABELS, row[1:].tolist(), strict=True) if there > 0.5)


def test_the_fetched_bundle_is_intact(bundle: Bundle) -> None:
    verify(bundle)
    assert (bundle.path / "licences").is_dir()


def test_our_weights_are_small(bundle: Bundle) -> None:
    assert bundle.projector_weights is not None
    assert bundle.adapter is not None
    ours = [bundle.projector_weights, bundle.adapter / "adapter_model.safetensors"]
    assert sum(path.stat().st_size for path in ours) < 16 * 2**20


def test_a_linear_probe_on_the_frozen_image_tokens_finds_the_findings(loaded: Loaded, held_out: Drawn) -> None:
    """Ridge regression from frozen encoder and projector to the truth: fitted on some phantoms, scored on others."""
    with torch.inference_mode():
        tokens = loaded.projector(held_out.features).flatten(1)
    x = torch.cat([(tokens - tokens[:_TRAIN].mean(0)), torch.ones(len(tokens), 1)], dim=1)
    kernel = x[:_TRAIN] @ x[:_TRAIN].T
    ridge = kernel.diagonal().mean() * 1e-2
    weights = x[:_TRAIN].T @ torch.linalg.solve(kernel + ridge * torch.eye(_TRAIN), held_out.truth[:_TRAIN])
    said = [labels_of(row) for row in x[_TRAIN:] @ weights]
    true = [labels_of(row) for row in held_out.truth[_TRAIN:]]
    assert micro_f1(list(zip(said, true, strict=True))).f1 >= 0.88


def test_five_steps_from_the_committed_weights_lower_the_loss(loaded: Loaded, held_out: Drawn) -> None:
    few = held_out.features[:2].clone()
    exchanges = [Exchange(loaded.bundle.question, text) for text in held_out.reports[:2]]
    template = template_named(loaded.bundle.template)
    before = {name: value.clone() for name, value in loaded.projector.state_dict().items()}
    projector = loaded.projector.requires_grad_(True)
    optimizer = torch.optim.AdamW(projector.parameters(), lr=1e-4)
    losses = []
    for _ in range(6):
        loss = answer_loss(loaded.llm, template, loaded.bundle.stop[0], exchanges, projector(few)).mean
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    projector.requires_grad_(False)
    projector.load_state_dict(before)
    assert losses[-1] < losses[0]


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Iterator[Engine]:
    made = Engine(bundle, device="cpu", batch_size=_READ, dtype=torch.float32)
    yield made
    made.close()


@pytest.fixture(scope="module")
def texts(engine: Engine, held_out: Drawn) -> list[Generated]:
    """What the engine says about the last phantoms."""
    futures = [engine.submit(GenerationRequest(picture)) for picture in held_out.pictures[-_READ:]]
    return [future.result(300) for future in futures]


def test_the_text_follows_the_image(texts: list[Generated], held_out: Drawn) -> None:
    said = [label_report(made.text) for made in texts]
    true = [labels_of(row) for row in held_out.truth[-_READ:]]
    f1 = micro_f1(list(zip(said, true, strict=True))).f1
    assert f1 >= 0.75
    assert f1 - micro_f1(list(zip(said, true[1:] + true[:1], strict=True))).f1 >= 0.3
    views = [
        view_of(made.text) == ("AP" if row[0] else "PA")
        for made, row in zip(texts, held_out.truth[-_READ:], strict=True)
    ]
    assert sum(views) >= _READ - 2
    assert all(made.findings and made.impression for made in texts)
    assert all(made.tokens < 96 for made in texts)


def test_a_follow_up_question_is_answered(engine: Engine, held_out: Drawn) -> None:
    made = engine.submit(GenerationRequest(held_out.pictures[0], "Is there a pneumothorax?", (), rank=0)).result(300)
    assert made.text.startswith(("Yes", "No"))
    assert "pneumothorax" in made.text


def test_exposure_does_not_change_the_text_much(engine: Engine, texts: list[Generated], held_out: Drawn) -> None:
    with Image.open(io.BytesIO(held_out.pictures[-_READ])) as image:
        grey = np.asarray(image, dtype=np.float32) / 255
    brighter = Image.fromarray((255 * (0.15 + 0.8 * grey**0.8)).astype(np.uint8))
    buffer = io.BytesIO()
    brighter.save(buffer, "PNG")
    again = engine.submit(GenerationRequest(buffer.getvalue())).result(300)
    assert len(label_report(texts[0].text) ^ label_report(again.text)) <= 1
