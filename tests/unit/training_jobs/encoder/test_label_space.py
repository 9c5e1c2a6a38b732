"""Which labels an encoder learns, and what each film counts."""

from dataclasses import replace

import pytest
import torch

from training_jobs.encoder.label_space import label_space
from training_jobs.encoder.lesson import known_auc, mean_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.pairs import Pair

PAIR = Pair("1", "films", "p", "train", "", None, view="AP", source="here")


def films(normal: int, abnormal: int, **more: str) -> list[Pair]:
    labels = [{"abnormal": 0.0}] * normal + [{"abnormal": 1.0}] * abnormal
    return [replace(PAIR, labels=one, **more) for one in labels]


def test_a_label_that_hardly_any_film_has_is_not_learned() -> None:
    pairs = films(20, 20)
    pairs[0] = replace(pairs[0], labels={"abnormal": 0.0, "hernia": 1.0})
    assert label_space(pairs).names == ("abnormal",)


def test_without_any_label_there_is_nothing_to_learn() -> None:
    with pytest.raises(TrainingError, match="nothing to learn"):
        label_space([PAIR] * 30)


def test_within_a_source_and_view_normal_and_abnormal_films_count_the_same() -> None:
    pairs = [*films(30, 10), *films(10, 20, view="PA"), *films(10, 10, source="there")]
    space = label_space(pairs)
    weights = space.weights(pairs)
    for view, source in (("AP", "here"), ("PA", "here"), ("AP", "there")):
        rows = [place for place, pair in enumerate(pairs) if (pair.view, pair.source) == (view, source)]
        normal = [place for place in rows if not pairs[place].labels["abnormal"]]
        assert float(weights[normal].sum()) == pytest.approx(float(weights[rows].sum()) / 2)


def test_an_unknown_label_is_neither_there_nor_missing() -> None:
    pairs = [*films(10, 10), replace(PAIR, labels={"abnormal": None})]
    _, known = label_space(pairs).truth(pairs)
    assert known[:-1].all()
    assert not known[-1].any()


def test_a_rare_label_counts_more_where_it_is() -> None:
    assert label_space(films(40, 10)).positive.tolist() == [2.0]


def test_the_area_under_the_curve_is_one_for_a_perfect_order_and_a_half_for_none() -> None:
    presence = torch.tensor([[0.0, 0.0]] * 6 + [[1.0, 1.0]] * 6)
    scores = torch.stack([torch.arange(12.0), torch.zeros(12)], dim=1)
    assert known_auc(scores, presence, torch.ones(12, 2, dtype=torch.bool)) == [1.0, 0.5]


def test_a_label_of_a_few_films_has_no_area() -> None:
    presence = torch.tensor([[0.0]] * 9 + [[1.0]])
    assert known_auc(torch.zeros(10, 1), presence, torch.ones(10, 1, dtype=torch.bool)) == [None]
    assert mean_of([None, 0.4, 0.6]) == pytest.approx(0.5)
