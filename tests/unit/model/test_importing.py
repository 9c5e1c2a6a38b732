"""Importing published files: what is found, renamed, ignored and linked, and that nothing is lost on the way."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.published_parts import Parts, llama_state, quiet
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle, load_bundle, verify
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.llm import load_base, load_llm
from xraygpt_core.model.prompt import QUESTIONS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def imported(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, list[ImportedPart]]:
    models = tmp_path_factory.mktemp("models")
    wanted = ImportRequest(parts.encoder, parts.projector, parts.llm, max_new_tokens=6, dtype="float32")
    return import_bundle(models, "narrow", wanted, quiet)


def test_what_is_found_is_said(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    encoder, projector, llm = imported[1]
    assert (encoder.found, encoder.shapes) == ("MedCLIP ViT (Swin), pooled", "1 x 20 features at 224 pixels")
    assert (projector.shapes, projector.tensors) == ("20 -> 32", 2)
    assert llm.found == "LLaMA, 2 layers"
    assert llm.shapes.startswith("hidden 32, 700 tokens")
    assert "SentencePiece tokenizer.model with 700 tokens" in llm.notes
    assert [note for note in llm.notes if "converted to" in note] == [
        "pytorch_model-00001-of-00002.bin converted to safetensors",
        "pytorch_model-00002-of-00002.bin converted to safetensors",
    ]
    assert all(line.startswith(f"{part.part}: ") for part in imported[1] for line in part.lines())


def test_what_is_ignored_is_named(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    encoder, projector, llm = imported[1]
    assert {"logit_scale", "text_model.projection_head.weight"} < set(encoder.ignored)
    assert projector.ignored == [
        "Qformer.bert.embeddings.position_ids",
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq",
        "entry config",
        "entry epoch",
        "entry optimizer",
        "entry scaler",
    ]
    assert llm.ignored == [f"model.layers.{layer}.self_attn.rotary_emb.inv_freq" for layer in range(2)]


def test_the_bundle_says_what_it_is(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    bundle = imported[0]
    assert (bundle.encoder, bundle.projector, bundle.template) == ("MedClipSwin", "LinearProjector", "xraygpt-code")
    assert bundle.encoder_options["depths"] == [1, 1, 2, 1]
    assert (bundle.question, bundle.stop, bundle.dtype) == (QUESTIONS[0], ("###",), "float32")
    assert load_bundle(bundle.path.parent, "narrow") == bundle
    verify(bundle)


def test_no_name_of_the_authors_machine_is_carried_along(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    config = json.loads((imported[0].llm / "config.json").read_text())
    assert "somebody" not in json.dumps(config)
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 2)


def test_every_weight_of_the_llm_arrives_as_it_was(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    model, _ = load_base(imported[0].llm, torch.float16)
    own = model.state_dict()
    published = {name: tensor for name, tensor in llama_state().items() if "inv_freq" not in name}
    assert own.keys() == published.keys()
    assert all(torch.equal(own[name], published[name]) for name in own)


def test_the_projector_arrives_in_its_own_precision(imported: tuple[Bundle, list[ImportedPart]], parts: Parts) -> None:
    assert imported[0].projector_weights is not None
    ours = load_file(imported[0].projector_weights)
    theirs = torch.load(parts.projector, weights_only=True)["model"]
    assert ours.keys() == {"llama_proj.weight", "llama_proj.bias"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_imported_bundle_summarises(
    imported: tuple[Bundle, list[ImportedPart]], noise_png: Callable[[int], bytes]
) -> None:
    engine = Engine(imported[0], device="cpu")
    try:
        first = engine.submit(GenerationRequest(noise_png(1))).result(timeout=60)
        again = engine.submit(GenerationRequest(noise_png(1))).result(timeout=60)
        other = engine.submit(GenerationRequest(noise_png(2))).result(timeout=60)
    finally:
        engine.close()
    assert first.text == again.text
    assert first.text != other.text
    assert first.software["dtype"] == "float32"


def test_the_loaded_tokenizer_gives_the_reference_ids(imported: tuple[Bundle, list[ImportedPart]]) -> None:
    reference = json.loads((Path(__file__).parent / "reference" / "llama_tokens.json").read_text())
    tokenizer = load_llm(imported[0].llm, None, CPU, torch.float32).tokenizer
    assert tokenizer.bos_token_id == 1
    for entry in reference["texts"]:
        assert tokenizer.encode(entry["text"], add_special_tokens=False) == entry["ids"], entry["text"]
