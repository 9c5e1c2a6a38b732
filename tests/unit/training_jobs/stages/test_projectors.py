"""Projectors of every kind: made from the sizes of encoder and LLM, from the base, or from a file that fits."""

from pathlib import Path

import pytest
import torch

from tests.support.published_parts import write_checkpoint
from training_jobs.stages.projectors import new_projector, starting_projector
from training_jobs.stages.slots import SLOTS
from training_jobs.stages.xraygpt_file import read_start, write_xraygpt_file
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, load_llm
from xraygpt_core.model.projector import LinearProjector, MapProjector, MlpProjector, save_projector
from xraygpt_core.training.config import ProjectorChoice, parse_config

SAMPLE = torch.randn(5, 4, 6)


@pytest.fixture(scope="module")
def llm(tiny_base: Bundle) -> Llm:
    return load_llm(tiny_base.llm, None, torch.device("cpu"), torch.float32)


def test_a_linear_projector_has_the_sizes_of_encoder_and_llm(llm: Llm) -> None:
    made = new_projector(ProjectorChoice("LinearProjector"), SAMPLE, llm, labelled=False)
    assert isinstance(made, LinearProjector)
    assert made.llama_proj.weight.shape == (32, 6)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_an_mlp_has_the_layers_and_the_width_that_are_asked_for(llm: Llm, layers: int) -> None:
    made = new_projector(ProjectorChoice("MlpProjector", layers=layers, width=10), SAMPLE, llm, labelled=False)
    assert isinstance(made, MlpProjector)
    shapes = [tuple(weight.shape) for name, weight in made.named_parameters() if name.endswith("weight")]
    assert shapes == [(b, a) for a, b in zip([6, *[10] * (layers - 1)], [*[10] * (layers - 1), 32], strict=True)]
    assert made(SAMPLE).shape == (5, 4, 32)


def test_a_map_projector_has_a_token_for_each_slot_where_labels_say_what_it_means(llm: Llm) -> None:
    labelled = new_projector(ProjectorChoice(), SAMPLE, llm, labelled=True)
    plain = new_projector(ProjectorChoice(), SAMPLE, llm, labelled=False)
    assert isinstance(labelled, MapProjector)
    assert isinstance(plain, MapProjector)
    assert (labelled.sizes.tokens, plain.sizes.tokens) == (len(SLOTS), 32)
    assert plain(SAMPLE).isfinite().all()
    assert plain.eval()(SAMPLE).std(dim=1).min() > 0  # no two tokens begin as one


def test_the_start_depends_on_the_seed_alone(llm: Llm, tiny_base: Bundle) -> None:
    config = parse_config({"projector": {"kind": "MlpProjector", "width": 8}, "seed": 5})
    one = starting_projector(tiny_base, config, llm, SAMPLE, labelled=False)
    torch.randn(7)
    two = starting_projector(tiny_base, config, llm, SAMPLE, labelled=False)
    assert all(torch.equal(a, b) for a, b in zip(one.projector.parameters(), two.projector.parameters(), strict=True))
    assert one.told == "from nothing"


def test_a_base_without_a_projector_has_none_to_go_on_from(llm: Llm, tiny_base: Bundle) -> None:
    with pytest.raises(BundleError, match="no projector to refine"):
        starting_projector(tiny_base, parse_config({"start": "base"}), llm, SAMPLE, labelled=False)


def test_a_published_checkpoint_is_a_start_and_what_it_holds_besides_is_named(tmp_path: Path) -> None:
    begun = read_start(write_checkpoint(tmp_path / "c.pth", takes=6, gives=32), 4, 6, 32, "MedClipSwin")
    assert isinstance(begun.projector, LinearProjector)
    assert all(
        parameter.dtype == torch.float32 and parameter.requires_grad for parameter in begun.projector.parameters()
    )
    assert "Qformer.bert.embeddings.position_ids" in begun.ignored
    assert "entry optimizer" in begun.ignored


def test_a_file_of_ours_is_a_start(tmp_path: Path, llm: Llm) -> None:
    made = new_projector(ProjectorChoice(), SAMPLE, llm, labelled=False)
    save_projector(made, tmp_path / "p.safetensors")
    assert isinstance(read_start(tmp_path / "p.safetensors", 4, 6, 32, "x").projector, MapProjector)


@pytest.mark.parametrize(
    ("takes", "gives", "message"),
    [
        (7, 32, r"takes 7 a token features, the encoder \(MedClipSwin\) gives 4 x 6"),
        (768, 32, "a llama_proj with 768 is of XrayGPT's public code"),
        (6, 48, "makes 48 numbers a token, the LLM takes 32"),
    ],
)
def test_a_checkpoint_for_another_encoder_or_llm_is_refused_with_both_sizes(
    tmp_path: Path, takes: int, gives: int, message: str
) -> None:
    file = write_checkpoint(tmp_path / "c.pth", takes=takes, gives=gives)
    with pytest.raises(TrainingError, match=message):
        read_start(file, 4, 6, 32, "MedClipSwin")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken", b"\x80\x02cos\nsystem\n(S'true'\ntR."])
def test_a_file_that_is_no_checkpoint_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(TrainingError, match=r"projector\.file"):
        read_start(tmp_path / "c.pth", 4, 6, 32, "MedClipSwin")


def test_a_file_that_is_not_there_is_named_without_its_folder(llm: Llm, tiny_base: Bundle, tmp_path: Path) -> None:
    config = parse_config({"start": "file", "projector": {"file": str(tmp_path / "nope.pth")}})
    with pytest.raises(TrainingError, match=r"there is no file nope\.pth") as raised:
        starting_projector(tiny_base, config, llm, SAMPLE, labelled=False)
    assert str(tmp_path) not in str(raised.value)
    with pytest.raises(TrainingError, match=r"needs projector\.file"):
        starting_projector(tiny_base, parse_config({"start": "file"}), llm, SAMPLE, labelled=False)


def test_what_is_written_is_read_back_bit_by_bit(tmp_path: Path) -> None:
    from dataclasses import asdict

    from xraygpt_core.training.config import Config

    projector = LinearProjector(6, 32)
    write_xraygpt_file(projector, tmp_path / "p.pth", asdict(Config()), 20)
    again = read_start(tmp_path / "p.pth", 1, 6, 32, "MedClipSwin").projector
    assert all(torch.equal(a, b) for a, b in zip(projector.parameters(), again.parameters(), strict=True))
    run = torch.load(tmp_path / "p.pth", weights_only=True)["config"]["run"]
    assert (run["iters_per_epoch"], run["init_lr"]) == (20, 1e-3)
