"""Published image encoders into a bundle: which one a file holds, and every tensor under our name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.encoder import feature_shape
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.recipes import RECIPES, Recipe, Shapes, Use
from xraygpt_core.model.importing.tensor_names import check_shapes, match, sizes
from xraygpt_core.model.importing.tensors import TensorFiles, separate
from xraygpt_core.model.loading import weights_of

OTHER_MODELS = r"^(language_model|text_model)\."  # BLIP-2's text model alone may be forty GiB


@dataclass(frozen=True)
class ReadEncoder:
    """What goes into ``bundle.toml``, and what the projector will be given."""

    kind: str
    options: dict[str, Any]
    positions: int
    channels: int
    part: ImportedPart
    layers: int | None = None  # of how many it gives features; None: of one


def convert_encoder(source: Path, target: Path, features: int | None = None, use: Use | None = None) -> ReadEncoder:
    """Write the encoder in ``source`` (a file or a folder) as safetensors under our names.

    Args:
        features: how many numbers a token the projector takes; chooses between the modes of an encoder.
        use: what the model takes of it; None: what is usual.

    Raises:
        BundleError: no known encoder, or not every tensor is accounted for; nothing is written.
    """
    files = TensorFiles(source, OTHER_MODELS)
    recipe = _recipe_of(files, source.name)
    options = recipe.sizes(Shapes(files), features)
    if (wanted := use or recipe.usual) is not None:
        if recipe.used is None:
            raise BundleError(f"{source.name} holds a {recipe.title}, of which no single layers are taken")
        options = recipe.used(options, wanted)
    try:
        encoder = recipe.build(None, **options)
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise BundleError(f"{source.name} has the sizes of no {recipe.title}: {error}") from error
    assert isinstance(encoder, nn.Module)
    own = {name: tuple(tensor.shape) for name, tensor in weights_of(encoder.state_dict()).items()}
    layout = recipe.layout(options)
    matched = match(own, files, layout, recipe.title)
    check_shapes(own, files, matched, recipe.title)
    save_file(
        separate({ours: files.get(theirs) for ours, theirs in matched.names.items()}), target, metadata={"format": "pt"}
    )
    mode = f", {options['mode']}" if "mode" in options else ""
    part = ImportedPart(
        "encoder",
        f"{recipe.title}{mode}",
        f"{sizes(feature_shape(encoder))} features at {options['size']} pixels",
        len(matched.names),
        matched.renamed,
        matched.ignored + files.skipped + [f"entry {name}" for name in files.extra],
    )
    layers = options["layers"] if options.get("all_layers") else None
    return ReadEncoder(type(encoder).__name__, options, encoder.positions, encoder.channels, part, layers)


def _recipe_of(files: TensorFiles, source: str) -> Recipe:
    recipe = next((one for one in RECIPES if any(re.search(one.recognised_by, name) for name in files)), None)
    if recipe is None:
        titles = ", ".join(one.title for one in RECIPES)
        raise BundleError(f"{source} holds no encoder that is known here ({titles})")
    return recipe
