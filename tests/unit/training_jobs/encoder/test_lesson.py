"""Stage 0's loss: labels read off the map, texts near their films, one film independent of the others."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from training_jobs.encoder.label_space import label_space
from training_jobs.encoder.lesson import EncoderLesson
from training_jobs.encoder.texts import Texts
from training_jobs.features.batch import Batch
from xraygpt_core.training.pairs import Pair

POSITIONS, CHANNELS, FILMS = 9, 6, 48
CPU = torch.device("cpu")


def corpus() -> tuple[Tensor, list[Pair]]:
    """Films in whose corner something is there or not."""
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(FILMS, POSITIONS, CHANNELS, generator=generator) * 0.1
    pairs = []
    for place in range(FILMS):
        there = place % 2 == 0
        features[place, 2, 0] += 3.0 * there
        labels = {"nodule": float(there), "abnormal": float(there), "effusion": None}
        text = "Pulmonary nodule." if there else "No nodule."
        pairs.append(Pair(str(place), "films", str(place), "train", "", text, labels=labels))
    return features, pairs


def lesson_for(pairs: list[Pair], texts: Texts | None = None) -> EncoderLesson:
    torch.manual_seed(0)
    upper = nn.Linear(CHANNELS, CHANNELS)
    return EncoderLesson(upper, (POSITIONS, CHANNELS), label_space(pairs), texts, 0.5, CPU)


class _Words:
    """Stands in for the language model: a vector for each text."""

    width = 4

    def vectors(self, texts: list[str]) -> Tensor:
        return torch.stack([torch.eye(4)[len(text) % 4] for text in texts])


@pytest.mark.parametrize("texts", [None, cast(Texts, _Words())], ids=["labels", "labels and texts"])
def test_it_learns_what_stands_in_one_corner(texts: Texts | None) -> None:
    features, pairs = corpus()
    lesson = lesson_for(pairs, texts)
    optimizer = torch.optim.Adam(lesson.module.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        for loss in lesson.losses(Batch(pairs, features), micro_batch=16):
            loss.total.backward()
        optimizer.step()
    lesson.module.eval()
    column = lesson.labels.names.index("nodule")
    there = torch.tensor([pair.labels["nodule"] == 1.0 for pair in pairs])
    assert ((lesson.logits(features)[:, column] > 0) == there).all()


def test_a_label_that_is_unknown_moves_nothing() -> None:
    features, pairs = corpus()
    pairs = [replace(pair, labels=pair.labels | {"device": float(int(pair.pair_id) % 3 == 0)}) for pair in pairs]
    lesson = lesson_for(pairs)
    unknown = [replace(pair, labels=pair.labels | {"device": None}) for pair in pairs]
    (loss,) = lesson.losses(Batch(unknown, features))
    loss.total.backward()
    column = lesson.labels.names.index("device")
    assert float(lesson.module["reading"].bias.grad[column]) == 0.0
    assert float(lesson.module["reading"].bias.grad.abs().sum()) > 0


def test_the_loss_of_a_batch_is_that_of_its_parts() -> None:
    features, pairs = corpus()
    lesson = lesson_for(pairs)
    lesson.module.eval()
    (whole,) = lesson.losses(Batch(pairs, features))
    parts = list(lesson.losses(Batch(pairs, features), micro_batch=7))
    summed = sum(float(part.total.detach()) for part in parts)
    assert float(whole.total.detach()) == pytest.approx(summed, rel=1e-5)
    assert whole.count == sum(part.count for part in parts)


class _Tokenizer:
    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [len(word) for word in text.split()]


def test_a_sentence_is_read_once_and_a_text_is_the_mean_of_its_sentences() -> None:
    asked: list[int] = []

    def model(input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
        asked.append(len(input_ids))
        states = (input_ids * attention_mask).float()[..., None].expand(-1, -1, 3)
        return SimpleNamespace(hidden_states=(states,))

    llm = SimpleNamespace(tokenizer=_Tokenizer(), model=model, hidden=3, device=CPU)
    texts = Texts(cast(Any, llm))
    one, two, both = texts.vectors(["No nodule.", "Normal heart size here.", "No nodule. Normal heart size here."])
    assert torch.allclose(both, (one + two) / 2)
    texts.vectors(["No nodule."])
    assert asked == [2]
