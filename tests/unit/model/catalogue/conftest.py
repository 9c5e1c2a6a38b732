"""A hub that has a narrow model, and what is brought from it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.hub_server import HubServer, hub_server, sha256
from tests.support.small_catalogue import point_at, publish, write_catalogue
from xraygpt_core.model.catalogue.download import download
from xraygpt_core.model.catalogue.entries import Entry, read_catalogue


@dataclass
class Fetching:
    """One model, fetched as often as a test likes: what was said, and how long the hub made it wait."""

    hub: HubServer
    folder: Path
    catalogue: Path
    name: str = "base"
    said: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)

    def run(self) -> None:
        self.run_entry(read_catalogue(self.catalogue)[self.name])

    def run_entry(self, entry: Entry) -> None:
        download(
            entry,
            self.folder,
            lambda done, total, _: self.seen.append((done, total)),
            self.said.append,
            self.waited.append,
        )

    @property
    def weights(self) -> Path:
        return self.folder / "rad-dino" / "model.safetensors"

    @property
    def half(self) -> Path:
        """Where the encoder's weights lie while they are incomplete; its folder is there."""
        digest = sha256(self.hub.repos["them/rad-dino"].files["model.safetensors"])
        folder = self.folder / "rad-dino/.cache/huggingface/download"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"model.safetensors.{digest}.incomplete"

    @property
    def halves(self) -> list[Path]:
        return sorted(self.folder.glob("*/.cache/huggingface/download/*.incomplete"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server() as server:
        yield server


@pytest.fixture
def fetching(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    publish(hub)
    point_at(hub, monkeypatch, tmp_path)
    return Fetching(hub, tmp_path / "downloads", write_catalogue(tmp_path))
