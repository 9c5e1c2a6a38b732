"""``models import`` and ``models verify`` as people type them, on narrow copies of the published files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from typer.testing import Result

from tests.support.published_layouts import write_maira2
from tests.support.published_parts import Parts, write_parts
from tests.support.released_downloads import write_archive, write_projector, write_vicuna
from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.model.encoders.delta import save_delta

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return write_parts(tmp_path_factory.mktemp("downloads"))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def arguments(parts: Parts, name: str = "narrow", *more: str) -> list[str]:
    paths = ["--encoder", str(parts.encoder), "--projector", str(parts.projector), "--llm", str(parts.llm)]
    return ["models", "import", name, *paths, "--max-new-tokens", "5", *more]


def test_three_downloads_become_a_bundle_that_summarises(parts: Parts, models: Path, xraygpt: Run) -> None:
    done = xraygpt(*arguments(parts), "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["path"] == str(models / "narrow")
    assert found["encoder"]["renamed"] > 0
    assert "entry optimizer" in found["projector"]["ignored"]
    assert "projector: llama_proj of a variant of its own, 20 -> 32; 2 tensors used" in done.stderr
    verified = json.loads(xraygpt("models", "verify", "narrow", "--json").stdout)
    assert (verified["ok"], verified["sha256"]) == (True, found["sha256"])
    assert verified["tokens"] == 5


def test_how_it_is_prompted_and_drawn_is_kept(parts: Parts, models: Path, xraygpt: Run) -> None:
    more = ["--template", "vicuna-v0", "--question", "What is seen?", "--seed", "7", "--dtype", "float32"]
    assert xraygpt(*arguments(parts, "drawn", *more)).exit_code == 0
    bundle = load_bundle(models, "drawn")
    assert (bundle.template, bundle.question, bundle.dtype) == ("vicuna-v0", "What is seen?", "float32")
    assert (bundle.decoding.do_sample, bundle.decoding.seed, bundle.decoding.top_p) == (True, 7, 0.9)
    one, two = (json.loads(xraygpt("models", "verify", "drawn", "--json").stdout)["summary"] for _ in range(2))
    assert one == two


def test_the_released_model_is_found_in_the_folder_of_its_downloads(tmp_path: Path, models: Path, xraygpt: Run) -> None:
    for write in (write_archive, write_projector, write_vicuna):
        write(tmp_path)
    done = xraygpt("models", "import", "xraygpt", "--from", str(tmp_path), "--max-new-tokens", "5")
    assert done.exit_code == 0
    assert "medclip-vit-pretrained.zip: no hash came with it; its SHA-256 is" in done.stderr
    assert "llm: " in done.stderr
    bundle = load_bundle(models, "xraygpt")
    assert (bundle.template, bundle.scope.made_for) == ("xraygpt-paper", "research")


def test_another_name_needs_all_three_paths(parts: Parts, models: Path, xraygpt: Run) -> None:
    done = xraygpt("models", "import", "other", "--encoder", str(parts.encoder))
    assert done.exit_code == 2
    assert not models.exists()


def test_what_is_wrong_is_one_sentence(parts: Parts, models: Path, tmp_path: Path, xraygpt: Run) -> None:
    broken = Parts(parts.encoder, parts.encoder, parts.llm)
    done = xraygpt(*arguments(broken))
    assert str(done.exception) == (
        "pytorch_model.bin holds no projector: neither llama_proj nor the layers of an MLP nor Libra's connector"
    )
    assert not models.exists()


def test_verify_finds_a_changed_file(models: Path, xraygpt: Run) -> None:
    bundle = make_tiny_bundle(models)
    assert bundle.projector_weights is not None
    data = bytearray(bundle.projector_weights.read_bytes())
    data[-1] ^= 1
    bundle.projector_weights.write_bytes(data)
    assert "projector.safetensors changed on disk" in str(xraygpt("models", "verify", "tiny").exception)


def test_verify_can_leave_the_film_out(models: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    found = json.loads(xraygpt("models", "verify", "tiny", "--hashes-only", "--json").stdout)
    assert (found["ok"], found["summary"]) == (True, None)


def test_verify_shows_a_person_the_film_s_text(models: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    assert "one synthetic film in" in xraygpt("models", "verify", "tiny").stderr


def test_a_published_model_is_found_in_the_folder_that_is_named(tmp_path: Path, models: Path, xraygpt: Run) -> None:
    folder = write_maira2(tmp_path)
    done = xraygpt("models", "import", "mine", "--from", str(folder), "--template", "maira-1", "--json")
    assert (done.exit_code, json.loads(done.stdout)["path"]) == (0, str(models / "mine"))
    assert "MAIRA-2 in one folder" in done.stderr
    assert "no hash came with it" in done.stderr
    assert "projector: MLP of 4 layers (MAIRA, LLaVA), 24 -> 32; 8 tensors used" in done.stderr


def test_an_imported_bundle_is_promoted_by_its_name(models: Path, fake_gateway: Any, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    fake_gateway.answers["POST /v1/bundles/serve"] = {"bundle": "tiny"}
    assert json.loads(xraygpt("models", "promote", "tiny", "--json").stdout) == {"bundle": "tiny"}
    assert fake_gateway.bodies("/v1/bundles/serve") == [{"bundle": "tiny"}]


def test_without_torch_nothing_is_imported(
    parts: Parts, models: Path, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xraygpt.commands.new_bundle.find_spec", lambda _: None)
    assert "pip install 'xraygpt[model]'" in str(xraygpt(*arguments(parts)).exception)


def test_the_language_model_is_written_for_another_server(models: Path, tmp_path: Path, xraygpt: Run) -> None:
    from transformers import AutoModelForCausalLM

    make_tiny_bundle(models)
    folder = tmp_path / "llm"
    assert xraygpt("models", "export-llm", "tiny", str(folder)).exit_code == 0
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True)
    assert str(model.dtype) == "torch.bfloat16"
    assert (folder / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("folder", "dtype", "said"), [(".", "float32", "not an empty folder"), ("new", "int8", "int8")]
)
def test_where_or_how_it_cannot_be_written_is_said(
    models: Path, tmp_path: Path, xraygpt: Run, folder: str, dtype: str, said: str
) -> None:
    make_tiny_bundle(models)
    done = xraygpt("models", "export-llm", "tiny", str(tmp_path / folder), "--dtype", dtype)
    assert said in str(done.exception)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("int8_products")
def test_a_bundle_is_quantised_under_a_name_of_its_own_and_summarises(models: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    made = json.loads(xraygpt("models", "quantise", "tiny", "int8", "--json").stdout)
    assert made["name"] == "tiny-int8"
    assert json.loads(xraygpt("models", "verify", "tiny-int8", "--json").stdout)["tokens"] > 0
    assert xraygpt("models", "quantise", "tiny", "int8", "--as", "other").exit_code == 0
    assert (models / "other/bundle.toml").is_file()


def test_a_kind_of_weights_that_is_unknown_is_a_wrong_usage(models: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    assert xraygpt("models", "quantise", "tiny", "int4").exit_code == 2


def test_the_list_shows_what_each_bundle_was_made_for(parts: Parts, models: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    assert xraygpt(*arguments(parts, "published")).exit_code == 0
    published, tiny = json.loads(xraygpt("models", "list", "--json").stdout)["bundles"]
    assert (published["made_for"], tiny["made_for"]) == ("research", None)
    assert tiny["scope"]["says"] == "This bundle does not say what it was made for."
    assert "Research use only" in xraygpt("models", "list").stdout


def trained(bundle: Bundle, out: Path) -> Path:
    (out / "result").mkdir(parents=True)
    told = {"base": bundle.name, "base_sha256": bundle.sha256}
    (out / "result" / "result.json").write_text(json.dumps(told))
    assert bundle.projector_weights is not None
    shutil.copy(bundle.path / "projector.safetensors", out / "result")
    return out


def test_what_was_trained_without_a_stack_becomes_a_bundle(models: Path, tmp_path: Path, xraygpt: Run) -> None:
    tiny = make_tiny_bundle(models, "start")
    done = xraygpt("models", "compose", str(trained(tiny, tmp_path / "out")), "--as", "mine", "--json")
    assert json.loads(done.stdout)["name"] == "mine"
    assert load_bundle(models, "mine").projector == tiny.projector


def test_a_folder_without_a_result_or_of_another_base_becomes_none(models: Path, tmp_path: Path, xraygpt: Run) -> None:
    out = trained(make_tiny_bundle(models, "start"), tmp_path / "out")
    assert "holds no result" in str(xraygpt("models", "compose", str(tmp_path), "--as", "mine").exception)
    make_tiny_bundle(models, "other", image_tokens=8)
    said = xraygpt("models", "compose", str(out), "--as", "mine", "--base", "other").exception
    assert "another bundle" in str(said)


def test_a_tuned_encoder_becomes_a_bundle_without_any_other_result(models: Path, tmp_path: Path, xraygpt: Run) -> None:
    tiny = make_tiny_bundle(models)
    state = load_file(tiny.encoder_weights)
    tuned = state | {"_conv_stem.weight": state["_conv_stem.weight"] * 1.1}
    file = tmp_path / "delta.safetensors"
    save_delta(file, state, tuned, kind=tiny.encoder, options={"layers": ["head"], "size": 64})
    assert xraygpt("models", "compose", "--encoder", str(file), "--as", "tuned").exit_code == 2
    done = xraygpt("models", "compose", "--base", "tiny", "--encoder", str(file), "--as", "tuned")
    assert done.exit_code == 0
    assert load_bundle(models, "tuned").encoder_options == {"layers": ["head"], "size": 64}
    out = trained(tiny, tmp_path / "out")
    (out / "result" / "projector.safetensors").unlink()
    file.rename(out / "result" / "encoder.safetensors")
    done = xraygpt("models", "compose", str(out), "--as", "same")
    assert "without projector and chest check; `xraygpt train stage1" in done.output
    assert load_bundle(models, "same").encoder_delta == load_bundle(models, "tuned").encoder_delta


def test_a_bundle_is_declared_under_a_new_name(models: Path, tmp_path: Path, xraygpt: Run) -> None:
    make_tiny_bundle(models)
    file = tmp_path / "scope.toml"
    file.write_text('made_for = "validated"\nsays = "Measured on ours."\n')
    assert "states its figures" in str(xraygpt("models", "declare", "tiny", str(file), "--as", "ours").exception)
    figure = '[[validated_on]]\nname = "ours"\nn = 300\nmetric = "F1"\nvalue = 0.8\ninterval = [0.7, 0.9]\n'
    file.write_text(file.read_text() + figure)
    assert xraygpt("models", "declare", "tiny", str(file), "--as", "ours").exit_code == 0
    assert load_bundle(models, "ours").scope.validated_on[0].n == 300
    assert load_bundle(models, "tiny").scope.made_for is None
