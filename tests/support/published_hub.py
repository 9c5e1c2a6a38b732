"""Every model of the catalogue, narrow and seeded, on a hub of our own under its published names."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.hub_server import HubServer, Repo
from tests.support.layout_files import write_rad_dino
from tests.support.layout_shapes import Sizes
from tests.support.published_layouts import write_libra, write_libra_3b, write_llava_rad, write_maira2, write_vicuna_v15
from xraygpt_core.model.catalogue.entries import Entry, Kind

WRITERS: dict[str, Callable[[Path], Path]] = {
    "maira-2": write_maira2,
    "llava-rad": write_llava_rad,
    "vicuna-7b-v1.5": write_vicuna_v15,
    "libra-v1.0-7b": write_libra,
    "libra-v1.0-3b": write_libra_3b,
    "GREEN-RadLlama2-7b": write_vicuna_v15,
}


@cache
def _files(folder: str, blocks: int) -> dict[str, bytes]:
    """Files of one repository; the blocks are those of RAD-DINO alone."""
    with TemporaryDirectory() as written:
        at, write = Path(written), WRITERS.get(folder)
        there = write_rad_dino(at, Sizes(blocks=blocks)) if write is None else write(at)
        found = {path.name: path.read_bytes() for path in there.iterdir()}
    return {"generation_config.json": b"{}"} | found


def publish_entry(hub: HubServer, entry: Entry) -> None:
    """Its repositories; those of a server are not asked for."""
    for one in entry.repositories if entry.kind is not Kind.SERVER else ():
        blocks = 12 if entry.name.startswith("libra") else 2
        commit = "a" * 40 if one.revision == "main" else one.revision
        hub.repos[one.repo] = Repo(_files(one.folder, blocks), commit, entry.gated)


def write_narrow_catalogue(folder: Path) -> Path:
    """``folder/catalogue.toml``: the one of this version, without the hashes of the real files."""
    text = (files("xraygpt_core.model.catalogue") / "models.toml").read_text(encoding="utf-8")
    before, found, after = text.partition("[repositories.rad-dino.sha256]\n")
    assert found
    file = folder / "catalogue.toml"
    file.write_text(before + after[after.index("[repositories") :])
    return file
