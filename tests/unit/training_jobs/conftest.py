"""A tiny base bundle to train from, and small data directories."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.model.bundle import Bundle


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "base", projector=False)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "tiny", max_new_tokens=4)


@pytest.fixture(scope="session")
def film_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one film of each collection, in the training and the test split."""
    data = tmp_path_factory.mktemp("data")
    rows = [
        ("nih", "train", "PA", ["No Finding"], "No abnormal finding is labelled."),
        ("nih", "train", "AP", ["Effusion", "Cardiomegaly"], "Labelled findings: effusion, cardiomegaly."),
        ("nih", "test", "PA", ["Nodule"], "Labelled findings: nodule."),
        ("nih", "test", "AP", ["No Finding"], "No abnormal finding is labelled."),
        ("hannover", "train", "AP", ["COVID-19"], None),
        ("covid", "train", "PA", ["COVID-19"], "Non-commercial."),
        ("covid", "test", "PA", ["COVID-19"], "Non-commercial."),
    ]
    lines = []
    for index, (source, split, view, labels, text) in enumerate(rows):
        name = f"images/{source}/{index}.jpg"
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 255, (70, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(data / name)
        row = {
            "id": f"{source}-{index}",
            "image": name,
            "split": split,
            "view": view,
            "labels": labels,
            "template_text": text,
        }
        lines.append(json.dumps(row))
    (data / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return data
