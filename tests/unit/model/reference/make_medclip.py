"""Compute medclip.json with MedCLIP's own code. Run once, by hand, in an environment of its own:

    python3.11 -m venv v && v/bin/pip install torch==2.2.2 torchvision==0.17.2 transformers==4.24.0 'numpy<2' pillow
    v/bin/pip download --no-deps medclip==0.0.3 && unzip MedCLIP-0.0.3-py3-none-any.whl
    PYTHONPATH=. v/bin/python …/tests/unit/model/reference/make_medclip.py

No network and no published weights: the models are built with their default configuration and seeded weights.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import torch._dynamo  # noqa: E402
import torchvision  # noqa: E402
import transformers  # noqa: E402
from seeded import picture, seeded  # noqa: E402
from transformers import CLIPFeatureExtractor  # noqa: E402, F401

transformers.AutoModel.from_pretrained = staticmethod(
    lambda *_, **__: transformers.SwinModel(transformers.SwinConfig())
)
resnet50 = torchvision.models.resnet50
torchvision.models.resnet50 = lambda pretrained: resnet50(weights=None)

package = types.ModuleType("medclip")  # without its __init__, which fetches tokenizers
package.__path__ = [str(Path.cwd() / "medclip")]
sys.modules["medclip"] = package

from medclip import modeling_medclip  # noqa: E402

for absent in ("pandas", "sklearn", "sklearn.preprocessing", "nltk", "nltk.tokenize", "tqdm.autonotebook"):
    stub = types.ModuleType(absent)  # imported beside the feature extractor, and not used by it
    stub.__path__ = []
    stub.__getattr__ = lambda name: object  # type: ignore[method-assign]
    sys.modules[absent] = stub

from medclip.dataset import MedCLIPFeatureExtractor  # noqa: E402


def filled(model: torch.nn.Module) -> dict[str, list[int]]:
    """Give each floating-point tensor its seeded values; all shapes, by published name."""
    shapes = {}
    for name, tensor in model.state_dict().items():
        published = f"vision_model.{name}"
        shapes[published] = list(tensor.shape)
        if tensor.dtype == torch.float32:
            tensor.copy_(torch.from_numpy(seeded(published, tensor.shape)))
    return shapes


def main() -> None:
    torch.set_grad_enabled(False)
    extractor = MedCLIPFeatureExtractor()
    found: dict[str, object] = {}
    for width, height in ((300, 260), (260, 300), (180, 120)):
        pixels = np.asarray(extractor(picture(width, height))["pixel_values"][0], dtype=np.float64)[0]
        found[f"picture {width}x{height}"] = {"sum": float(pixels.sum()), "diagonal": pixels.diagonal()[::7].tolist()}
    pixels = torch.tensor(np.asarray(extractor(picture())["pixel_values"][0]))[None]
    swin = modeling_medclip.MedCLIPVisionModelViT().eval()
    shapes = filled(swin)
    found["swin"] = {
        "shapes": shapes,
        "pooled": swin(pixels)[0].tolist(),
        "map": swin.model(pixels.repeat(1, 3, 1, 1)).last_hidden_state[0, :, ::64].tolist(),
    }
    resnet = modeling_medclip.MedCLIPVisionModel().eval()
    shapes = filled(resnet)
    found["resnet"] = {"shapes": shapes, "pooled": resnet(pixels)[0].tolist()}
    (HERE / "medclip.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
