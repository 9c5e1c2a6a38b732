"""Published encoders, projectors and a LLaMA on CUDA: the CPU's numbers, to 1e-4 in float32, 2e-2 in bfloat16."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.published_parts import write_parts
from tests.unit.model.reference.seeded import picture_png, seeded
from xraygpt_core.model.encoders.biomedclip import BiomedClipCxr
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.llm import load_llm
from xraygpt_core.model.projector import LinearProjector, MlpProjector, TemporalProjector
from xraygpt_core.model.smoke_test import summarise_once

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda", 0)
Build = Callable[[], Any]

ENCODERS: dict[str, Build] = {
    "MedCLIP ViT, pooled": lambda: MedClipSwin(None),
    "MedCLIP ViT, map": lambda: MedClipSwin(None, mode="map"),
    "MedCLIP ResNet": lambda: MedClipResNet(None),
    "RAD-DINO": lambda: RadDino(None),
    "RAD-DINO, all layers": lambda: RadDino(None, all_layers=True),
    "BiomedCLIP-CXR": lambda: BiomedClipCxr(None),
    "EVA ViT-g and Q-Former": lambda: Blip2Encoder(None),
    "EVA ViT-g, patches": lambda: Blip2Encoder(None, mode="patches"),
}


@pytest.fixture(autouse=True)
def _exact_convolutions() -> Iterator[None]:
    """TensorFloat-32 keeps ten bits of a factor; these tests ask for float32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def filled(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(seeded(name, tensor.shape)))
    return module


def close(ours: Tensor, reference: Tensor, allowed: float) -> None:
    torch.testing.assert_close(ours.float().cpu(), reference.float(), rtol=allowed, atol=allowed)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_gives_the_cpus_numbers(name: str) -> None:
    encoder: Any = filled(ENCODERS[name]())
    pixels = encoder.preprocess(picture_png())[None]
    reference = encoder.encode(pixels).clone()
    close(encoder.to(CUDA).encode(pixels.to(CUDA)), reference, 1e-4)


@pytest.mark.parametrize("name", ["MedCLIP ViT, pooled", "RAD-DINO"])
def test_an_encoder_in_bfloat16_stays_near(name: str) -> None:
    encoder: Any = filled(ENCODERS[name]())
    pixels = encoder.preprocess(picture_png())[None]
    reference = encoder.encode(pixels).clone()
    encoder.to(device=CUDA, dtype=torch.bfloat16)
    found = encoder.encode(pixels.to(CUDA, torch.bfloat16))
    assert float((found.cpu() - reference).abs().mean() / reference.abs().mean()) < 2e-2


@pytest.mark.parametrize(
    "build", [lambda: LinearProjector(512, 4096), lambda: MlpProjector((768, 1024, 1024, 1024, 4096))]
)
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_a_projector_gives_the_cpus_numbers(build: Build, dtype: torch.dtype, allowed: float) -> None:
    projector = filled(build())
    features = torch.from_numpy(seeded("features", (2, 49, 512 if isinstance(projector, LinearProjector) else 768)))
    with torch.inference_mode():
        reference = projector(features)
        found = projector.to(CUDA, dtype)(features.to(CUDA, dtype))
    close(found, reference, allowed)


def test_libras_connector_gives_the_cpus_numbers() -> None:
    projector = filled(TemporalProjector(12, 768, 4096, 32)).eval()
    current, prior = (torch.from_numpy(seeded(name, (2, 12, 49, 768))) for name in ("current", "prior"))
    with torch.inference_mode():
        reference = projector(current, prior)
        found = projector.to(CUDA)(current.to(CUDA), prior.to(CUDA))
    close(found, reference, 1e-4)


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_an_imported_llama_gives_the_cpus_numbers(tmp_path: Path, dtype: torch.dtype, allowed: float) -> None:
    parts = write_parts(tmp_path / "downloads")
    bundle, _ = import_bundle(
        tmp_path / "models", "b", ImportRequest(parts.encoder, parts.projector, parts.llm), lambda *_: None
    )
    ids = torch.arange(5, 40)[None]
    with torch.inference_mode():
        reference = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32).model(ids).logits
        found = load_llm(bundle.llm, None, CUDA, dtype).model(ids.to(CUDA)).logits
    assert float((found.float().cpu() - reference).abs().mean() / reference.abs().mean()) < allowed


def test_an_imported_bundle_summarises_on_both(tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "downloads")
    wanted = ImportRequest(parts.encoder, parts.projector, parts.llm, max_new_tokens=4, dtype="float32")
    bundle, _ = import_bundle(tmp_path / "models", "b", wanted, lambda *_: None)
    here, there = (summarise_once(bundle, picture_png(), device=device) for device in ("cpu", "cuda:0"))
    assert here.text == there.text
    assert there.software["device"] == "cuda:0"
