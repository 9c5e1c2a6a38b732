"""Compute chest_models.json with the code of Libra, timm and open_clip. Run once, by hand, in an environment apart:

    python3.11 -m venv v && v/bin/pip install torch==2.13.0 torchvision==0.28.0 timm==1.0.31 open_clip_torch==3.3.0
    git clone https://github.com/X-iZhang/Libra && git -C Libra checkout 0d6c56a
    v/bin/python …/tests/unit/model/reference/make_chest_models.py Libra

No published weights: the models are built with the widths of the published ones and seeded weights.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from seeded import picture, seeded  # noqa: E402

WIDTH, LAYERS, SIDE, HIDDEN, HEADS = 768, 12, 3, 40, 32
POSITIONS = SIDE * SIDE
TIMM_LAYERS, TIMM_SIZE = 3, 70


def filled(model: torch.nn.Module, prefix: str) -> torch.nn.Module:
    """Give each tensor its seeded values, by published name."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(seeded(prefix + name, tensor.shape)).reshape(tensor.shape))
    return model.eval()


def connector(libra: Path) -> dict[str, Any]:
    """Tokens of Libra's connector: with a prior film, and with the current one in its place."""
    spec = importlib.util.spec_from_file_location("b", libra / "libra/model/multimodal_projector/builder.py")
    assert spec
    assert spec.loader
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    config = SimpleNamespace(mm_hidden_size=WIDTH, hidden_size=HIDDEN, num_attention_heads=HEADS)
    model = filled(builder.TAC(config), "model.mm_projector.")
    current, prior = (
        torch.from_numpy(seeded(name, (2, LAYERS, POSITIONS, WIDTH))) * 20 for name in ("current", "prior")
    )
    found = {"with": model((current, prior)), "without": model((current, current))}
    return {name: tokens[:, :, ::4].tolist() for name, tokens in found.items()}


def trunk() -> list[list[float]]:
    """timm's hidden states as LLaVA-Rad's VisionTower takes them: after the last block but one, without CLS."""
    import timm

    model = timm.create_model("vit_base_patch14_dinov2", img_size=TIMM_SIZE, num_classes=0, global_pool="")
    model.blocks = model.blocks[:TIMM_LAYERS]
    filled(model, "visual.trunk.")
    pixels = torch.from_numpy(seeded("pixels", (1, 3, TIMM_SIZE, TIMM_SIZE))) * 50
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(pixels)))
    for block in model.blocks[:-1]:
        tokens = block(tokens)
    return tokens[0, 1:, ::16].tolist()


def pictures() -> dict[str, Any]:
    """What open_clip's evaluation transform makes of pictures at 518 pixels."""
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    from open_clip.transform import image_transform

    transform = image_transform(518, is_train=False, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD)
    found = {}
    for width, height in ((700, 530), (530, 701), (533, 519), (300, 260), (518, 521), (518, 523)):
        pixels = transform(picture(width, height).convert("RGB")).double()
        diagonal = pixels[1].diagonal()[::37].tolist()
        found[f"{width}x{height}"] = {"sums": pixels.sum((1, 2)).tolist(), "diagonal": diagonal}
    return found


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    made = {"connector": connector(Path(sys.argv[1])), "trunk": trunk(), "pictures": pictures()}
    (HERE / "chest_models.json").write_text(json.dumps(made) + "\n")
