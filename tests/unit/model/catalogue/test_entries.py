"""The catalogue: whole, honest about what it knows, and read strictly."""

from math import prod
from pathlib import Path

import pytest

from tests.support.layout_shapes import Sizes, connector_shapes, dino_shapes, mlp_shapes, timm_shapes
from tests.support.small_catalogue import write_catalogue
from xraygpt_core.errors import BundleError
from xraygpt_core.model.backend import ImageRole
from xraygpt_core.model.catalogue.entries import Kind, read_catalogue
from xraygpt_core.model.catalogue.memory import DeviceMemory, LlmShape, check_memory, device_memory, gigabytes

NAMES = ["maira-2", "llava-rad", "libra-7b", "libra-3b", "rad-dino-vicuna-7b", "green", "medgemma-1.5-4b", "chexone"]
VIT = Sizes(4096, 32, 32, 32, 11008, 768, 12, 12, 37)
VIT_3B = Sizes(3072, 28, 24, 8, 8192, 768, 12, 12, 37)


def count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(map(prod, shapes.values()))


def test_the_catalogue_has_the_models_that_run_here() -> None:
    assert list(read_catalogue()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_a_person_must_know_first(name: str) -> None:
    entry = read_catalogue()[name]
    assert all(licence.url.startswith("https://") for licence in entry.licences)
    assert entry.licences
    assert entry.paper.startswith("https://")
    assert entry.size > 6e9
    assert 5e9 < entry.memory.total < 25e9
    assert all(score.source and 0 < score.value < 100 for score in entry.scores)
    assert all(ImageRole(role) for role in entry.images)
    assert (entry.server is not None) == (entry.kind is Kind.SERVER)
    assert entry.document()["made_for"] == "research"


@pytest.mark.parametrize("name", NAMES)
def test_a_revision_is_a_commit_or_the_head(name: str) -> None:
    for repository in read_catalogue()[name].repositories:
        assert repository.revision == "main" or len(repository.revision) == 40
        assert set(repository.sha256) <= set(repository.files)
        assert all(len(digest) == 64 for digest in repository.sha256.values())


def test_weights_of_the_language_models_are_counted_exactly() -> None:
    shapes = {"maira-2": 6_740_111_360, "llava-rad": 6_738_415_616, "libra-3b": 3_212_749_824}
    for name, weights in shapes.items():
        assert read_catalogue()[name].memory.weights == 2 * weights
    gemma = LlmShape(34, 2560, 8, 4, 10240, 262208, head_width=256, tied=True)
    assert gemma.weights == pytest.approx(3.88e9, rel=0.01)
    assert gemma.token_bytes == 2 * 34 * 4 * 256 * 2


def test_encoders_and_projectors_are_counted_exactly() -> None:
    rad_dino, biomedclip = count(dino_shapes(VIT)), count(timm_shapes(VIT))
    parts = {
        "maira-2": rad_dino + count(mlp_shapes("layers", 4, 768, 4096)),
        "llava-rad": biomedclip + count(mlp_shapes("mm_projector", 2, 768, 4096)),
        "libra-7b": rad_dino + count(connector_shapes(VIT)),
        "libra-3b": rad_dino + count(connector_shapes(VIT_3B)),
    }
    for name, weights in parts.items():
        assert read_catalogue()[name].memory.parts == 4 * weights, name


def test_the_download_of_maira_2_is_as_large_as_its_weights_in_float32() -> None:
    entry = read_catalogue()["maira-2"]
    weights = 4 * (entry.memory.weights // 2) + entry.memory.parts
    assert entry.size == pytest.approx(weights, rel=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "base"', 'kind = "other"', "'other' is not a valid Kind"),
        ('licences = ["some"]', 'licences = ["none"]', "lacks 'none'"),
        ('paper = "https://paper.example"', "", "paper"),
        ('title = "Base"', 'title = "Base"\ntypo = 1', "typo"),
        ("[models.base]", "[models.base", "cannot be read"),
        ('repositories = ["rad-dino"', 'repositories = ["../rad-dino"', "lacks '../rad-dino'"),
        ('"config.json" = 0', '"../config.json" = 0', "no plain name of a file"),
        ('repo = "them/rad-dino"', 'repo = "x"\nurls = { a = "https://x.example/a" }', "its bytes and its sha256"),
    ],
)
def test_a_catalogue_of_another_shape_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = write_catalogue(tmp_path)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(BundleError, match="the catalogue") as caught:
        read_catalogue(file)
    assert said in str(caught.value)


def test_a_machine_with_too_little_memory_is_said_with_the_flag() -> None:
    need = read_catalogue()["maira-2"].memory
    with pytest.raises(
        BundleError, match=r"MAIRA-2 takes \d\d\.\d GB of memory and this machine, which has no GPU, has 8\.0 GB"
    ):
        check_memory("MAIRA-2", need, DeviceMemory(8_000_000_000, is_gpu=False))
    with pytest.raises(BundleError, match=r"the largest GPU has 16\.0 GB: .* --force"):
        check_memory("MAIRA-2", need, DeviceMemory(16_000_000_000, is_gpu=True))
    check_memory("MAIRA-2", need, DeviceMemory(24_000_000_000, is_gpu=True))


def test_this_machine_s_memory_is_known() -> None:
    assert device_memory().total > 2**30


def test_bytes_are_written_as_people_buy_them() -> None:
    assert [gigabytes(size) for size in (27_521_508_768, 346_345_912, 560)] == ["27.5 GB", "346 MB", "1 kB"]
