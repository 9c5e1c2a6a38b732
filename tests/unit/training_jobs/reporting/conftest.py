"""A run that is done: its result, its progress, and a corpus with films."""

import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.corpora import make_corpus, make_pair
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.pairs import Pair, write_pairs


def film(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (90, 70), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pair_of(number: int, split: str, text: str) -> Pair:
    image = hashlib.sha256(film(number)).hexdigest()
    return replace(make_pair(number % 10, split=split, text=text), image=image, patient=f"p{number // 2}")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Six pairs to train on and four held out, of two patients each two; three held-out films lie beside it."""
    pairs = [pair_of(number, "train", "Findings: Clear lungs. Impression: Normal.") for number in range(6)]
    held = [pair_of(number, "val", "Findings: Left pleural effusion. Impression: Effusion.") for number in range(6, 10)]
    numbered = [replace(pair, pair_id=f"n{number}") for number, pair in enumerate([*pairs, *held])]
    shas = [replace(pair, image=f"{number:064x}") for number, pair in enumerate(numbered)]
    made = make_corpus(tmp_path / "corpus", shas)
    for shard in made.shards:  # the features are made up; the pairs name real films
        rows = numbered[int(shard.pairs[6:11]) * 8 :][: shard.count]
        write_pairs(made.path / shard.pairs, rows)
    (made.path / "images").mkdir()
    for number in (6, 7, 8):
        (made.path / f"images/{hashlib.sha256(film(number)).hexdigest()}.png").write_bytes(film(number))
    (made.path / "problems.jsonl").write_text(
        json.dumps({"set": "a", "where": "secret.csv, line 3", "kind": "lateral", "what": "…"})
        + "\n"
        + json.dumps({"set": "a", "counts": {"lateral": 7, "long_text": 2}})
        + "\n"
    )
    return made


@pytest.fixture
def done(tmp_path: Path, tiny_bundle: Bundle) -> Path:
    """The folder of a run of stage 1."""
    out = tmp_path / "run"
    (out / "result").mkdir(parents=True)
    assert tiny_bundle.projector_weights is not None
    shutil.copyfile(tiny_bundle.projector_weights, out / "result/projector.safetensors")
    result = {"job": "stage1", "base": "tiny", "projector": "MapProjector", "loss": 1.0}
    (out / "result/result.json").write_text(json.dumps(result))
    lines = [{"step": n, "steps": 9, "loss": 3 - n / 9, "lr": 1e-3, "samples_per_s": 5.0} for n in range(1, 10)]
    lines += [{"step": 9, "held_out": 2.2, "swapped": 2.9}]
    (out / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out
