"""The feature cache: computed once, part by part, and never for another encoder or another drawing."""

from pathlib import Path

import numpy as np
import pytest
import torch

import training_jobs.features.drawn as features_module
from training_jobs.data import film_studies, phantom_studies
from training_jobs.features.drawn import cached_features
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.encoder import load_encoder
from xraygpt_core.training.config import Phantoms


def test_features_are_those_of_the_encoder(tiny_base: Bundle, tmp_path: Path) -> None:
    from training_jobs.data import draw

    studies = phantom_studies(Phantoms(count=3), 0.5)
    features = cached_features(tiny_base, studies, tmp_path)
    encoder = load_encoder(tiny_base.encoder, tiny_base.encoder_weights, dict(tiny_base.encoder_options))
    expected = encoder.encode(torch.stack([encoder.preprocess(draw(study)[0]) for study in studies]))
    torch.testing.assert_close(features.batch([0, 1, 2]), expected, rtol=1e-2, atol=1e-2)
    assert all(len(study.presence) == 12 and study.report for study in features.studies)


def test_the_encoder_sees_a_picture_once(tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = phantom_studies(Phantoms(count=2), 0.0)
    first = cached_features(tiny_base, studies, tmp_path)
    monkeypatch.setattr(features_module, "_compute", None)
    second = cached_features(tiny_base, studies, tmp_path)
    assert (first.values == second.values).all()
    assert first.studies == second.studies


def test_a_killed_job_finds_the_parts_it_finished(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "_PART", 2)
    studies = phantom_studies(Phantoms(count=4), 0.0)
    cached_features(tiny_base, studies[:2], tmp_path)
    computed: list[int] = []
    compute = features_module._compute

    def count(base: Bundle, part: list[object], *rest: object) -> None:
        computed.append(len(part))
        compute(base, part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(features_module, "_compute", count)
    features = cached_features(tiny_base, studies, tmp_path)
    assert computed == [2]
    assert features.values.shape[0] == 4
    assert [study.seed for study in features.studies] == [0, 1, 2, 3]


def test_another_drawing_is_not_taken_from_the_cache(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = phantom_studies(Phantoms(count=1), 0.0)
    first = cached_features(tiny_base, studies, tmp_path)
    real = features_module.draw
    other = phantom_studies(Phantoms(count=1, seed=9), 0.0)[0]
    monkeypatch.setattr(features_module, "draw", lambda _study: real(other))
    second = cached_features(tiny_base, studies, tmp_path)
    assert not np.array_equal(first.values, second.values)


def test_films_and_phantoms_stand_in_one_set(tiny_base: Bundle, film_directory: Path, tmp_path: Path) -> None:
    studies = phantom_studies(Phantoms(count=1), 0.0) + film_studies(film_directory, ("train",), variants=1)
    features = cached_features(tiny_base, studies, tmp_path)
    assert [study.source for study in features.studies] == ["phantom", "nih-0", "nih-1", "hannover-4"]
    assert features.values.shape[0] == 4
