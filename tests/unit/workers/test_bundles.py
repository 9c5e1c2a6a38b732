"""A bundle of what a chain of runs left: each part over the one before, and none that was made for another encoder."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_bundle import make_tiny_bundle
from workers.bundles import composed
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.delta import save_delta
from xraygpt_core.storage import ObjectStore

HEAD = "_conv_head.weight"


class Folder:
    """Stands in for the derived bucket: a folder whose files are its objects."""

    derived_bucket = "derived"

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, _bucket: str, prefix: str) -> Iterator[Any]:
        for path in (self.root / prefix).rglob("*"):
            yield SimpleNamespace(key=str(path.relative_to(self.root)))

    def get_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((self.root / key).read_bytes())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "base")


def leave_encoder(base: Bundle, bucket: Path, prefix: str, before: float) -> None:
    """The result of a run that began with the base's encoder moved by this, and moved it by one more."""
    (bucket / prefix).mkdir(parents=True)
    state = load_file(base.encoder_weights)
    former, tuned = (state | {HEAD: state[HEAD] + by} for by in (before, before + 1))
    options = dict(base.encoder_options)
    save_delta(bucket / prefix / "encoder.safetensors", former, tuned, kind=base.encoder, options=options)


def made(base: Bundle, tmp_path: Path, *prefixes: str) -> Bundle:
    store = cast(ObjectStore, Folder(tmp_path / "bucket"))
    return composed(store, base, prefixes, tmp_path / "models", "made")


def test_a_tuned_encoder_takes_the_place_of_the_projector_too(base: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bucket" / "one").mkdir(parents=True)
    (tmp_path / "bucket" / "one" / "projector.safetensors").write_bytes(
        base.path.joinpath("llm/config.json").read_bytes()
    )
    leave_encoder(base, tmp_path / "bucket", "two", 0.0)
    assert made(base, tmp_path, "one", "two").projector is None


def test_encoders_that_were_tuned_one_after_the_other_are_put_together_in_that_order(
    base: Bundle, tmp_path: Path
) -> None:
    leave_encoder(base, tmp_path / "bucket", "one", 0.0)
    leave_encoder(base, tmp_path / "bucket", "two", 1.0)
    state = load_file(made(base, tmp_path, "one", "two").encoder_weights)
    torch.testing.assert_close(state[HEAD], load_file(base.encoder_weights)[HEAD] + 2)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["made"]
