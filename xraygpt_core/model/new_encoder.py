"""Another encoder in a composed bundle: its file written whole, and the parts beside it checked against it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, file_sha256
from xraygpt_core.model.chest_check import load_chest_check
from xraygpt_core.model.encoders.delta import apply_delta, read_encoder
from xraygpt_core.model.encoders.encoder import feature_shape, load_encoder
from xraygpt_core.model.projector import image_shape, load_projector


def write_encoder(base: Bundle, file: Path, target: Path) -> dict[str, Any]:
    """Write an encoder of the base's class to ``target``; its table ``[encoder]``.

    Args:
        file: whole weights, or what :func:`xraygpt_core.model.encoders.delta.save_delta` wrote. Options that its header
            names take the place of the base's.

    Raises:
        BundleError: it cannot be read, is of another class, or was made for another base.
    """
    given = read_encoder(file)
    if given.kind not in (None, base.encoder):
        raise BundleError(f"{file.name} is a {given.kind}; the encoder of {base.name!r} is a {base.encoder}")
    table: dict[str, Any] = {"class": base.encoder, "weights": target.name}
    if given.base is None:
        shutil.copyfile(file, target)
        return table | (dict(base.encoder_options) if given.options is None else given.options)
    state, options = apply_delta(base.encoder_weights, file)
    save_file(state, target)
    return table | {"delta": file_sha256(file)} | options


def check_parts(work: Path, tables: Mapping[str, Any]) -> None:
    """Load a new bundle's encoder, and try its projector and chest check on features of that shape.

    Raises:
        BundleError: the encoder cannot be built with these options, or a part was made for another one.
    """
    table = tables["encoder"]
    options = {key: value for key, value in table.items() if key not in ("class", "weights", "delta")}
    try:
        encoder = load_encoder(table["class"], work / table["weights"], options)
    except KeyError as error:
        raise BundleError(f"encoder {table['class']}: it has no {error}") from error
    if (projector := tables.get("projector")) is not None:
        built = load_projector(projector["class"], work / projector["weights"])
        image_shape(built.eval(), *feature_shape(encoder))
    if (check := tables.get("chest_check")) is not None:
        load_chest_check(work / check["weights"], encoder.positions, encoder.channels)
