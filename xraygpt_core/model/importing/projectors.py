"""Projector checkpoints: XrayGPT's and MiniGPT-4's ``llama_proj``, LLaVA's and MAIRA's MLP, and our own files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import FileKind, kind_of, place
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.tensor_names import sizes
from xraygpt_core.model.importing.tensors import TensorFiles, separate
from xraygpt_core.model.projector import TemporalProjector, load_projector
from xraygpt_core.model.tensor_file import save_tensors

_LINEAR = re.compile(r"(?:module\.)?llama_proj\.(weight|bias)")
_LLAVA = r"(?:base_model\.model\.)?(?:model\.)?"  # as LLaVA's trainings save, with and without LoRA
_MLP = re.compile(
    rf"{_LLAVA}(?:mm_projector(?:\.projector)?|multi_modal_projector\.layers|layers)\.(\d+)\.(weight|bias)"
)
_TEMPORAL = re.compile(
    rf"(?:{_LLAVA}mm_projector\.)?((?:LFE|mlp_final|norm\d|\w+_attention|mlp_attn)\b.*|LFE_prior_bias)"
)
_CONNECTOR = {  # what our names of a TemporalProjector begin with, and Libra's
    "mix.": "LFE.",
    "prior_bias": "LFE_prior_bias",
    "current_attention.": "cur_self_attention.",
    "prior_attention.": "prior_self_attention.",
    "cross_attention.": "cros_attention.",
    "current_norm.": "norm1.",
    "prior_norm.": "norm2.",
    "cross_norm.": "norm3.",
    "joint_norm.": "norm4.",
    "joint.0.": "mlp_attn.0.",
    "joint.2.": "mlp_attn.3.",
    "spread.": "mlp_final.",
}
_CONNECTOR_SIZES = {"LFE.0.fc1.weight": 4, "norm4.weight": 1, "mlp_final.0.weight": 2}  # tensors that show its sizes
_LEAST_LAYERS = 4  # the connector halves their number twice
_KNOWN = {  # features a token, as the shape of llama_proj tells them
    512: "the paper's, for MedCLIP's pooled vector",
    768: "of XrayGPT's public code and MiniGPT-4, for the Q-Former (or MedCLIP's map)",
    5632: "of MiniGPT-4 on Llama 2, for four joined patches without a Q-Former",
}
_LLMS = {2048: "1B", 3200: "3B", 4096: "7B", 5120: "13B", 6656: "30B", 8192: "65B or 70B"}  # LLaMA's hidden sizes


@dataclass(frozen=True)
class ReadProjector:
    """A projector before it is written: what it takes and gives, and where its weights stand."""

    kind: str
    takes: int  # numbers a token
    gives: int
    names: Mapping[str, str]  # our name -> name in the file
    files: TensorFiles
    part: ImportedPart
    positions: int | None = None  # how many tokens it takes, where that is fixed
    layers: int | None = None  # of the encoder that it takes features of, where it takes more than one

    def write(self, target: Path, llm_heads: int | None = None) -> None:
        """As safetensors, in the precision of the file.

        Args:
            llm_heads: attention heads of the LLM: Libra's connector has as many, and its weights do not show them.

        Raises:
            BundleError: a number is none, or the heads do not share the channels.
        """
        if self.kind == "MapProjector":
            place(self.files.source, target)
            return
        state = {ours: self.files.get(theirs) for ours, theirs in self.names.items()}
        heads = {"heads": str(llm_heads)} if self.kind == "TemporalProjector" else {}
        save_tensors(separate(state), target, {"class": self.kind} | heads)
        load_projector(self.kind, target)


def read_projector(source: Path) -> ReadProjector:
    """Look at a checkpoint.

    Raises:
        BundleError: it holds no projector that is known here, or only a part of one.
    """
    files = TensorFiles(source)
    if kind_of(files.paths[0]) is FileKind.SAFETENSORS and (own := _own(files)) is not None:
        return own
    linear = {f"llama_proj.{hit[1]}": name for name in files if (hit := _LINEAR.fullmatch(name))}
    temporal = {hit[1]: name for name in files if (hit := _TEMPORAL.fullmatch(name))}
    mlp = {f"layers.{hit[1]}.{hit[2]}": name for name in files if (hit := _MLP.fullmatch(name))}
    if linear:
        return _linear(files, linear)
    if "LFE_prior_bias" in temporal:
        return _temporal(files, temporal)
    if mlp:
        return _mlp(files, mlp)
    raise BundleError(
        f"{source.name} holds no projector: neither llama_proj nor the layers of an MLP nor Libra's connector"
    )


def _own(files: TensorFiles) -> ReadProjector | None:
    path = files.paths[0]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if metadata.get("class") != "MapProjector":
        return None
    for name in files:
        files.get(name)
    load_projector("MapProjector", path)
    stated = json.loads(metadata["sizes"])
    part = ImportedPart(
        "projector", "MapProjector of XrayGPT's own training", f"{stated['channels']} -> {stated['hidden']}"
    )
    part.tensors = len(list(files))
    names = {name: name for name in files}
    return ReadProjector("MapProjector", stated["channels"], stated["hidden"], names, files, part, stated["positions"])


def _linear(files: TensorFiles, names: Mapping[str, str]) -> ReadProjector:
    missing = {"llama_proj.weight", "llama_proj.bias"} - names.keys()
    if missing:
        raise BundleError(f"{files.source.name}: {', '.join(sorted(missing))} missing")
    shape = files.shape(names["llama_proj.weight"])
    if len(shape) != 2:
        raise BundleError(f"{files.source.name}: llama_proj.weight is {sizes(shape)}, not a matrix")
    gives, takes = shape
    _check_bias(files, names["llama_proj.bias"], gives)
    return _read("LinearProjector", f"llama_proj {_KNOWN.get(takes, 'of a variant of its own')}", names, files)


def _mlp(files: TensorFiles, names: Mapping[str, str]) -> ReadProjector:
    indices = sorted({int(name.split(".")[1]) for name in names})
    wanted = [f"layers.{index}.{kind}" for index in range(0, indices[-1] + 1, 2) for kind in ("weight", "bias")]
    if missing := [name for name in wanted if name not in names]:
        raise BundleError(f"{files.source.name}: {', '.join(missing)} of the MLP missing")
    width = None
    for index in range(0, indices[-1] + 1, 2):
        rows, columns = files.shape(names[f"layers.{index}.weight"])
        if width not in (None, columns):
            raise BundleError(f"{files.source.name}: layer {index} of the MLP takes {columns} numbers, not {width}")
        _check_bias(files, names[f"layers.{index}.bias"], rows)
        width = rows
    kept = {name: names[name] for name in wanted}
    return _read("MlpProjector", f"MLP of {len(wanted) // 2} layers (MAIRA, LLaVA)", kept, files)


def _temporal(files: TensorFiles, found: Mapping[str, str]) -> ReadProjector:
    """Every tensor of a connector of these sizes, under our names."""
    shapes = {name: files.shape(found[name]) for name in _CONNECTOR_SIZES if name in found}
    if [len(shape) for shape in shapes.values()] != list(_CONNECTOR_SIZES.values()):
        wanted = ", ".join(_CONNECTOR_SIZES)
        raise BundleError(f"{files.source.name}: its connector is not whole: {wanted} missing, or of other dimensions")
    (_, layers, *_), (channels,), (hidden, _) = shapes.values()
    if layers < _LEAST_LAYERS or not channels or not hidden:
        raise BundleError(f"{files.source.name}: a connector of {layers} layers of {channels} numbers does nothing")
    with torch.device("meta"):
        own = TemporalProjector(layers, channels, hidden, 1).state_dict()
    names = {}
    for ours, tensor in own.items():
        prefix = next(prefix for prefix in _CONNECTOR if ours.startswith(prefix))
        theirs = _CONNECTOR[prefix] + ours.removeprefix(prefix)
        if theirs not in found:
            raise BundleError(f"{files.source.name}: {theirs} of the connector missing")
        if files.shape(found[theirs]) != tuple(tensor.shape):
            was, wanted = sizes(files.shape(found[theirs])), sizes(tensor.shape)
            raise BundleError(f"{files.source.name}: {theirs} of the connector is {was}, not {wanted}")
        names[ours] = found[theirs]
    part = ImportedPart("projector", "Libra's temporal connector", f"{layers} layers of {channels} -> {hidden}")
    part.tensors = part.renamed = len(names)
    part.ignored = sorted(set(files) - set(names.values())) + [f"entry {name}" for name in files.extra]
    return ReadProjector("TemporalProjector", channels, hidden, names, files, part, layers=layers)


def _check_bias(files: TensorFiles, name: str, rows: int) -> None:
    if files.shape(name) != (rows,):
        raise BundleError(f"{files.source.name}: {name} is {sizes(files.shape(name))}, its matrix has {rows} rows")


def _read(kind: str, found: str, names: Mapping[str, str], files: TensorFiles) -> ReadProjector:
    matrices = [name for ours, name in names.items() if ours.endswith("weight")]
    takes, gives = files.shape(matrices[0])[1], files.shape(matrices[-1])[0]
    rest = sorted(set(files) - set(names.values()))
    part = ImportedPart("projector", found, f"{takes} -> {gives}", len(names))
    part.renamed = sum(1 for ours, theirs in names.items() if ours != theirs)
    part.ignored = rest + [f"entry {name}" for name in files.extra]
    return ReadProjector(kind, takes, gives, names, files, part)


def check_llm(projector: ReadProjector, hidden: int) -> None:
    """Whether the LLM takes what the projector gives.

    Raises:
        BundleError: with both widths and the likely cause.
    """
    if projector.gives == hidden:
        return
    for_llm, llm = _LLMS.get(projector.gives), _LLMS.get(hidden)
    if for_llm and llm:
        cause = f"a projector for a {for_llm} LLM cannot stand before a {llm} one"
    else:
        cause = "they were not trained together"
    raise BundleError(
        f"the projector ({projector.part.shapes}) makes {projector.gives} numbers a token, the LLM takes {hidden}: "
        f"{cause}"
    )


def check_encoder(
    projector: ReadProjector, positions: int, channels: int, title: str, layers: int | None = None
) -> None:
    """Whether the projector takes what the encoder gives.

    Args:
        layers: of how many layers the encoder gives features; None: of one.

    Raises:
        BundleError: with both shapes and the likely cause.
    """
    if projector.layers != layers:
        wanted, given = (f"those of {count} layers" if count else "one map" for count in (projector.layers, layers))
        raise BundleError(
            f"the projector takes {wanted} of the encoder's features, the encoder ({title}) gives {given}"
        )
    if projector.takes == channels and projector.positions in (None, positions):
        return
    encoder = _KNOWN.get(projector.takes)
    cause = f"a llama_proj with {projector.takes} is {encoder}" if encoder else "they were not trained together"
    wanted = sizes((projector.positions, projector.takes)) if projector.positions else f"{projector.takes} a token"
    raise BundleError(
        f"the projector takes {wanted} features, the encoder ({title}) gives {sizes((positions, channels))}: {cause}"
    )
