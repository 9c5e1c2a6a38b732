"""All tensors of a weights file, or of a folder of shards, read one at a time and never by running pickled code."""

import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import DAMAGE, FileKind, kind_of, plain_name, real_path

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
_SHARD = re.compile(r"(model|pytorch_model)-\d{5}-of-\d{5}\.(safetensors|bin)")
_WRAPPERS = ("model", "state_dict")  # under which a training checkpoint keeps its weights
_PARALLEL = "module."  # what DistributedDataParallel puts before every name
_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_INDEX_BYTES = 64 * 2**20  # no index of a model is larger
_HEADER_BYTES = 16 * 2**20  # no header of one file either: a tensor takes some 100 bytes of it


class TensorFiles:
    """The tensors below ``source``: a file, or a folder with one weights file or an index and its shards.

    Args:
        skip: a pattern of names that are not needed; shards that hold nothing else may be missing, and are not opened.

    Raises:
        BundleError: a shard is missing, truncated, or holds code; the index is wrong.
    """

    def __init__(self, source: Path, skip: str | None = None) -> None:
        real = real_path(source)
        self.source = source
        self.paths = shard_paths(source, skip) if real.is_dir() else [source]
        names = {path.name for path in self.paths}
        everything = promised(source) if real.is_dir() else {}
        self._promised = {name: shard for name, shard in everything.items() if shard in names}
        self.skipped = sorted(everything.keys() - self._promised.keys())
        readers = [_open(path) for path in self.paths]
        self.extra = tuple(entry for reader in readers for entry in reader.extra)
        self._places: dict[str, _Reader] = {}
        for reader in readers:
            for name in reader.names():
                if name in self._places:
                    raise BundleError(f"{name} stands in both {self._places[name].path.name} and {reader.path.name}")
                self._places[name] = reader
        for name, shard in self._promised.items():
            if name not in self._places or self._places[name].path.name != shard:
                raise BundleError(f"{shard} does not hold {name}, which the index says it does")

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes of one tensor, without reading it."""
        return self._places[name].shape(name)

    def file_of(self, name: str) -> Path:
        """The file a tensor stands in."""
        return self._places[name].path

    def get(self, name: str) -> Tensor:
        """One tensor, checked.

        Raises:
            BundleError: it is not of 16 or 32 bit floating point numbers, or holds NaN or infinity.
        """
        reader = self._places[name]
        dtype = reader.dtype(name)
        if dtype not in _FLOATS.values():
            raise BundleError(
                f"{reader.path.name}: {name} holds {str(dtype).removeprefix('torch.')} numbers where float32, float16 "
                "or bfloat16 are expected (a quantised model?)"
            )
        try:
            tensor = reader.get(name)
        except (SafetensorError, RuntimeError, OSError) as error:
            raise BundleError(f"{reader.path.name} is truncated or damaged; download it again") from error
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{reader.path.name}: {name} holds NaN or infinite numbers; the file is damaged")
        return tensor


def shard_paths(folder: Path, skip: str | None = None) -> list[Path]:
    """The weights files of a Hugging Face folder, safetensors before pickles, but for those of ``skip`` alone.

    Raises:
        BundleError: naming the shards that are missing.
    """
    for index, single in zip(_INDEXES, _SINGLES, strict=True):
        if (folder / index).exists():
            shards = _weight_map(folder / index)
            names = sorted({shard for name, shard in shards.items() if skip is None or not re.search(skip, name)})
            missing = [name for name in names if not (folder / name).exists() and not (folder / name).is_symlink()]
            if missing:
                raise BundleError(f"{', '.join(missing)} missing in {folder}; download the rest of its shards")
            return [folder / name for name in names]
        if (folder / single).exists() or (folder / single).is_symlink():
            return [folder / single]
    if any(_SHARD.fullmatch(path.name) for path in folder.iterdir()):
        raise BundleError(f"{folder} has shards but no {' or '.join(_INDEXES)} to say what belongs where")
    raise BundleError(f"{folder} holds no weights: neither {' nor '.join((*_SINGLES, *_INDEXES))}")


def promised(folder: Path) -> dict[str, str]:
    """Tensor -> shard, as the index of the weights that are read says; empty without an index."""
    kinds = zip(_INDEXES, _SINGLES, strict=True)
    index = next((folder / one for one, single in kinds if any((folder / it).exists() for it in (one, single))), None)
    return _weight_map(index) if index is not None and index.exists() else {}


def _weight_map(index: Path) -> dict[str, str]:
    content = read_json(index)
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise BundleError(f"{index.name} has no weight_map")
    return {name: plain_name(shard, index.name) for name, shard in shards.items()}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        BundleError: it is missing, too large, or something else.
    """
    real = real_path(path)
    try:
        if not real.is_file() or real.stat().st_size > _INDEX_BYTES:
            raise BundleError(f"{path.name} is not a JSON file of a reasonable size")
        content = json.loads(real.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path.name} is not valid JSON; download it again") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path.name} is not a JSON object")
    return content


def _open(path: Path) -> "_Reader":
    kind = kind_of(path)
    if kind is FileKind.SAFETENSORS:
        return _Safetensors(path)
    if kind is FileKind.GGUF:
        raise BundleError(f"{path.name} is a GGUF file, which only --llm reads")
    return _Pickle(path, mapped=kind is FileKind.TORCH)


def _check_safetensors(path: Path) -> None:
    """The header's length (safetensors' format: the first 8 bytes) lies within the file, and within reason."""
    with path.open("rb") as file:
        announced = int.from_bytes(file.read(8), "little")
    if announced > min(_HEADER_BYTES, real_path(path).stat().st_size - 8):
        raise BundleError(f"{path.name} is truncated or damaged; download it again")


class _Safetensors:
    extra: tuple[str, ...] = ()  # what else the file holds

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_safetensors(path)
        try:
            opened: Any = safe_open
            self._file = opened(path, framework="pt")
            self._names = list(self._file.keys())
        except (SafetensorError, OSError) as error:
            raise BundleError(f"{path.name} is truncated or damaged; download it again") from error

    def names(self) -> list[str]:
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype | str:
        code = str(self._file.get_slice(name).get_dtype())
        return _FLOATS.get(code, code)

    def get(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class _Pickle:
    def __init__(self, path: Path, *, mapped: bool) -> None:
        self.path = path
        content = _unpickle(path, mapped=mapped)
        wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), dict)), None)
        state: dict[str, Any] = content if wrapper is None else content[wrapper]
        if all(str(name).startswith(_PARALLEL) for name in state):
            state = {name.removeprefix(_PARALLEL): value for name, value in state.items()}
        self._state = state
        self.extra = () if wrapper is None else tuple(sorted(set(content) - {wrapper}))
        strange = [str(name) for name, value in self._state.items() if not isinstance(value, Tensor)]
        if strange or not self._state:
            raise BundleError(f"{path.name} is no state dict: {', '.join(strange[:3]) or 'it is empty'}")

    def names(self) -> list[str]:
        return list(self._state)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._state[name].shape)

    def dtype(self, name: str) -> torch.dtype | str:
        dtype: torch.dtype = self._state[name].dtype
        return dtype

    def get(self, name: str) -> Tensor:
        tensor: Tensor = self._state[name].detach()
        return tensor


_Reader: TypeAlias = _Safetensors | _Pickle


def _unpickle(path: Path, *, mapped: bool) -> dict[str, Any]:
    """Tensors and plain containers of a ``torch.save`` file; anything else is refused, not run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's remark on pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise BundleError(f"{path.name} holds more than tensors and is not read: it could run code") from error
    except DAMAGE as error:
        raise BundleError(f"{path.name} is truncated or damaged; download it again") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path.name} holds a {type(content).__name__}, not a state dict")
    return content


def separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each contiguous and in memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    out = {}
    for name, tensor in state.items():
        shares = tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size()
        out[name] = tensor.clone() if shares or tensor.data_ptr() in seen else tensor.contiguous()
        seen.add(tensor.data_ptr())
    return out
