"""A catalogue of narrow models, and the hub that has them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.hub_server import HubServer, Repo
from tests.support.layout_files import write_rad_dino
from tests.support.layout_shapes import Sizes
from tests.support.published_layouts import write_vicuna_v15

COMMIT = "c" * 40
TEXT = f"""
[repositories.rad-dino]
repo = "them/rad-dino"
revision = "{COMMIT}"
files = {{ "config.json" = 0, "model.safetensors" = 0 }}

[repositories.vicuna]
repo = "them/vicuna"
revision = "main"
files = {{ "*.json" = 0, "tokenizer.model" = 0, "model*.safetensors | pytorch_model*.bin" = 0 }}

[licences]
some = {{ name = "Some Licence", url = "https://licence.example/some" }}

[models.base]
title = "Base"
kind = "base"
repositories = ["rad-dino", "vicuna"]
licences = ["some"]
gated = true
encoder = "RAD-DINO"
projector = "none"
language_model = "Vicuna"
images = ["frontal"]
template = "maira-1"
question = "What is there?"
paper = "https://paper.example"
scores = []
memory = {{ llm = {{ layers = 2, hidden = 32, heads = 4, kv_heads = 4, inner = 64, vocabulary = 700 }}, tokens = 100 }}

[models.judge]
title = "Judge"
kind = "judge"
repositories = ["vicuna"]
licences = ["some"]
gated = false
language_model = "Vicuna"
images = []
paper = "https://paper.example"
scores = []
memory = {{ llm = {{ layers = 2, hidden = 32, heads = 4, kv_heads = 4, inner = 64, vocabulary = 700 }}, tokens = 100 }}
"""


def write_catalogue(folder: Path) -> Path:
    """The file."""
    file = folder / "catalogue.toml"
    file.write_text(TEXT)
    return file


def publish(hub: HubServer) -> None:
    """Both repositories of it."""
    for repo, commit in (("them/rad-dino", COMMIT), ("them/vicuna", "d" * 40)):
        hub.repos[repo] = Repo(dict(_published()[repo]), commit)


@cache
def _published() -> dict[str, dict[str, bytes]]:
    with TemporaryDirectory() as folder:
        encoder, llm = write_rad_dino(Path(folder), Sizes()), write_vicuna_v15(Path(folder))
        folders = {"them/rad-dino": encoder, "them/vicuna": llm}
        return {repo: {path.name: path.read_bytes() for path in at.iterdir()} for repo, at in folders.items()}


def point_at(hub: HubServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let this process ask that hub and no other, as somebody without a token."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
