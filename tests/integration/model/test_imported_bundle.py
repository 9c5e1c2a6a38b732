"""From downloaded files to a stored summary and back: import, a worker process, and the same words made again."""

from pathlib import Path

import pytest

from tests.support.published_parts import Parts, write_checkpoint, write_llama, write_parts
from tests.support.worker_bench import Bench
from tests.unit.model.reference.seeded import picture_png
from xraygpt_core.ledger.studies.summary_origin import summary_origin
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.smoke_test import summarise_once

CPU = {"XRAYGPT_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "XRAYGPT_BATCH_SIZE": "4"}
PNG = picture_png(512, 400)


def summarise_and_replay(bench: Bench, bundle: Bundle, seconds: float = 240.0) -> None:
    """A worker process on this bundle summarises a study; its provenance is whole; the same text is made again."""
    study = bench.settled(1, png=PNG)
    bench.start("gpu", XRAYGPT_MODELS=str(bundle.path.parent), XRAYGPT_BUNDLE=bundle.name, **CPU)
    bench.until("SELECT count(*) FROM study_summaries", 1, "the study is summarised", seconds)
    row = bench.rows(
        "SELECT id, bundle, bundle_sha256, lease_epoch, tokens FROM summaries WHERE study_id = :s", s=study
    )[0]
    assert (row["bundle"], row["bundle_sha256"], row["lease_epoch"]) == (bundle.name, bundle.sha256, 1)
    origin = summary_origin(bench.ledger, row["id"])
    told = origin.provenance
    assert told.keys() >= {"image_sha256", "prompt", "template", "decoding", "seed", "software"}
    assert told["software"].keys() >= {"xraygpt", "python", "torch", "transformers", "device", "dtype"}
    assert told["prompt"].startswith("###Patient: <Img>[image tokens]</Img> ")
    assert bench.store.get(origin.normalised_key) == PNG
    again = summarise_once(bundle, PNG, device="cpu", dtype=told["software"]["dtype"])
    assert (again.text, again.prompt, again.tokens) == (origin.text, told["prompt"], row["tokens"])


def test_a_narrow_copy_of_the_published_model_summarises(bench: Bench, tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "downloads")
    wanted = ImportRequest(parts.encoder, parts.projector, parts.llm, max_new_tokens=8, dtype="float32")
    bundle, _ = import_bundle(tmp_path / "models", "narrow", wanted, lambda *_: None)
    summarise_and_replay(bench, bundle)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_medclip_and_a_llama_of_vicunas_width_summarise(bench: Bench, tmp_path: Path) -> None:
    """Full-size Swin-T, Linear(512 -> 4096), and two layers of Vicuna-7B's width."""
    from tests.unit.model.test_encoders_parity import REFERENCE, medclip_file

    folder = tmp_path / "downloads"
    folder.mkdir()
    parts = Parts(
        medclip_file(folder / "pytorch_model.bin", REFERENCE["swin"]["shapes"]),
        write_checkpoint(folder / "checkpoint_3.pth", takes=512, gives=4096),
        write_llama(folder / "vicuna", hidden=4096, layers=2, inner=11008),
    )
    wanted = ImportRequest(parts.encoder, parts.projector, parts.llm, max_new_tokens=16)
    bundle, (_, projector, llm) = import_bundle(tmp_path / "models", "wide", wanted, lambda *_: None)
    assert projector.found == "llama_proj the paper's, for MedCLIP's pooled vector"
    assert llm.shapes.startswith("hidden 4096")
    summarise_and_replay(bench, bundle, 900)
