"""Encoders cut in two: both halves together are the whole, and what is tuned above the cut goes back into a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle, new_bundle, write_bundle
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.delta import save_delta
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.encoders.tuning import lower_half, upper_half

SWIN = {"embed_dim": 8, "depths": [2, 2], "heads": [1, 2], "window": 4, "size": 32, "projected": 6}
RESNET = {"depths": [1, 2], "width": 4, "projected": 6, "size": 32}
VIT = {"size": 28, "patch": 14, "width": 16, "layers": 3, "heads": 2, "inner": 32}
QUERIES = {"queries": 3, "query_width": 8, "query_layers": 2, "query_heads": 2, "query_inner": 16}
KINDS: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "swin, pooled": (MedClipSwin, SWIN),
    "swin, map": (MedClipSwin, SWIN | {"mode": "map"}),
    "resnet": (MedClipResNet, RESNET),
    "rad-dino": (RadDino, VIT),
    "blip-2, queries": (Blip2Encoder, VIT | QUERIES),
    "blip-2, patches": (Blip2Encoder, VIT | {"mode": "patches"}),
}


def weights(shape: torch.Size, name: str) -> Tensor:
    return torch.rand(shape) * 0.4 - 0.15 + (0.5 if name.endswith("running_var") else 0.0)


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    """A bundle with a tiny encoder of each class, and no model behind it."""
    kind, options = KINDS[request.param]
    torch.manual_seed(1)
    with new_bundle(tmp_path / "models", "base") as (work, commit):
        state = {name: weights(value.shape, name) for name, value in kind(None, **options).state_dict().items()}
        save_file({name: value for name, value in state.items() if "num_batches" not in name}, work / "encoder")
        (work / "llm").mkdir()
        (work / "llm" / "config.json").write_text("{}")
        tables = {
            "encoder": {"class": kind.__name__, "weights": "encoder", **options},
            "llm": {"folder": "llm"},
            "prompt": {"template": "xraygpt-code", "question": "?", "stop": ["###"]},
            "decoding": {"max_new_tokens": 1},
        }
        write_bundle(work, "base", tables)
        return commit()


def encoder_of(bundle: Bundle) -> Encoder:
    return load_encoder(bundle.encoder, bundle.encoder_weights, bundle.encoder_options)


def films(bundle: Bundle, count: int = 2) -> Tensor:
    side = bundle.encoder_options["size"]
    assert isinstance(side, int)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))


def below(bundle: Bundle, last: int) -> Tensor:
    """Tokens below the last blocks, as a file of features would hold them."""
    return encoder_of(lower_half(bundle, last)).encode(films(bundle)).clone()


def most(bundle: Bundle) -> int:
    blocks: int = encoder_of(bundle).blocks  # type: ignore[attr-defined]
    return blocks


def test_both_halves_together_are_the_whole_encoder(base: Bundle) -> None:
    whole = encoder_of(base).encode(films(base))
    for last in range(1, most(base) + 1):
        upper, options = upper_half(base, last)
        with torch.no_grad():
            features = upper(below(base, last))
        assert features.shape == (2, upper.positions, upper.channels)
        torch.testing.assert_close(features, whole, atol=1e-5, rtol=1e-5)
        assert options == base.encoder_options


def test_the_lower_half_says_its_shape_and_has_a_digest_of_its_own(base: Bundle) -> None:
    digests = {encoder_digest(base)}
    for last in range(1, most(base) + 1):
        lower = lower_half(base, last)
        encoder = encoder_of(lower)
        assert encoder.encode(films(base)).shape == (2, encoder.positions, encoder.channels)
        digests.add(encoder_digest(lower))
    assert len(digests) == most(base) + 1


def test_a_step_changes_what_lies_above_the_cut_and_the_difference_makes_the_tuned_bundle(
    base: Bundle, tmp_path: Path
) -> None:
    upper, options = upper_half(base, 1)
    low = below(base, 1)
    learning = [one for one in upper.net.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.05)
    assert isinstance(upper, nn.Module)
    upper.train()
    torch.manual_seed(3)
    ((upper(low) - 1) ** 2).sum().backward()
    optimizer.step()
    before, _ = upper_half(base, 1)
    states = before.net.state_dict(), upper.net.state_dict()
    save_delta(tmp_path / "delta", *states, kind=base.encoder, options=options, dtype=torch.float32)
    parts: dict[str, Any] = {"projector": None, "adapter": None, "encoder": tmp_path / "delta"}
    tuned = compose_bundle(base, tmp_path / "models", "tuned", **parts)
    with torch.no_grad():
        learned = upper(low)
    torch.testing.assert_close(encoder_of(tuned).encode(films(base)), learned, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(learned, encoder_of(base).encode(films(base)), atol=1e-4)
    assert torch.equal(below(tuned, 1), low)


def test_a_cut_that_is_not_there_is_refused(base: Bundle) -> None:
    with pytest.raises(TrainingError, match="blocks to tune, not"):
        lower_half(base, most(base) + 1)
    with pytest.raises(TrainingError, match="no maps"):
        upper_half(base, 1, ["head"])
    with pytest.raises(TrainingError, match="ends below"):
        upper_half(lower_half(base, 1), 1)
    for until in (-1, most(base), True, 1.0):
        with pytest.raises(BundleError, match="until"):
            load_encoder(base.encoder, base.encoder_weights, {**base.encoder_options, "until": until})
