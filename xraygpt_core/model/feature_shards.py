"""A shard of features: what the frozen encoder made of some hundred images, as one safetensors file.

One tensor, ``features`` (images, positions, channels), float16, little-endian. Its header names the encoder by the
digest of :func:`xraygpt_core.model.encoders.digest.encoder_digest`, so that no run takes another encoder's numbers.
The same values give the same bytes. (Format: https://github.com/huggingface/safetensors, "Format".)

Rows are read by offset, never the whole file: what is not asked for costs no memory, and a file that is cut while it
is read gives an error where a memory map would end the process.
"""

import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xraygpt_core.durable import flush
from xraygpt_core.errors import InvalidRequest, TrainingError
from xraygpt_core.model.encoders.digest import STACKED
from xraygpt_core.model.encoders.encoder import Encoder, feature_shape

VERSION = 1  # of this layout
_TENSOR = "features"
_MAX_HEADER = 2**16  # bytes; ours has about 250
_CHECKED = 64  # images whose numbers are looked at together
_AHEAD = 64 * 2**20  # bytes; a shard up to this size is read ahead as a whole
_BYTES = 2  # of a number
_ABANDONED = 3600  # seconds in which nobody wrote to a half file

Features = NDArray[np.float16]


def encode_pngs(
    encoder: Encoder, pngs: Iterable[bytes], batch: int = 32, device: torch.device | None = None, workers: int = 1
) -> Features:
    """Features (images, positions, channels) of grey PNGs, in their order, as float16.

    A number beyond float16 becomes infinite, which :func:`write_features` refuses.

    Args:
        device: where the encoder's weights are; None: the CPU.
        workers: threads that read images while the encoder computes.

    Raises:
        InvalidRequest: one of them is no readable image; says which.
        TrainingError: the encoder gives what each of its layers makes, which no shard holds.
    """
    if len(feature_shape(encoder)) > 2:
        raise TrainingError(STACKED)
    with closing(_prepared(encoder, pngs, 2 * batch, workers)) as images:
        parts = []
        while chunk := list(islice(images, batch)):
            stacked = torch.stack(chunk)
            values = encoder.encode(stacked if device is None else stacked.to(device))
            parts.append(values.to("cpu", torch.float16).numpy())
    if not parts:
        return np.empty((0, encoder.positions, encoder.channels), np.float16)
    return np.concatenate(parts)


def _prepared(encoder: Encoder, pngs: Iterable[bytes], ahead: int, workers: int) -> Generator[Tensor]:
    """Each image as the encoder wants it; so many are read ahead."""
    waiting: deque[Future[Tensor]] = deque()
    given, taken = iter(pngs), 0
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                waiting.extend(pool.submit(encoder.preprocess, png) for png in islice(given, ahead - len(waiting)))
                if not waiting:
                    return
                try:
                    image = waiting.popleft().result()
                except InvalidRequest as error:
                    raise InvalidRequest(f"image {taken}: {error}") from error
                taken += 1
                yield image
        finally:
            pool.shutdown(cancel_futures=True)


def write_features(path: Path, values: NDArray[Any], encoder: str) -> None:
    """Write ``path`` whole or not at all: under another name, flushed to disk, renamed.

    Args:
        values: (images, positions, channels); numbers that are no float16 are rounded to it.
        encoder: the digest of what made them.

    Raises:
        TrainingError: another shape, or a number that is not finite as float16; says where.
        OSError: the disk is full or broken; nothing of the file is left.
    """
    if values.ndim != 3 or values.shape[1] * values.shape[2] == 0:
        raise TrainingError(f"features must be (images, positions, channels), not {values.shape}")
    with np.errstate(over="ignore"):
        _check_finite(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    handle, work = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_header(values.shape, encoder))
            for start in range(0, len(values), _CHECKED):
                file.write(values[start : start + _CHECKED].astype("<f2").tobytes())
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(work, path)
    finally:
        with suppress(FileNotFoundError):  # it has its name
            os.unlink(work)
    flush(path.parent)


def _sweep(path: Path) -> None:
    """Remove what killed processes left of this file."""
    for left in path.parent.glob(f".{path.name}-*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def _check_finite(values: NDArray[Any]) -> None:
    for start in range(0, len(values), _CHECKED):
        bad = ~np.isfinite(values[start : start + _CHECKED].astype(np.float16))
        if bad.any():
            image, position, channel = (int(index) for index in np.argwhere(bad)[0])
            value = float(values[start + image, position, channel])
            raise TrainingError(
                f"the features of image {start + image} are no finite float16 numbers: {value} at position {position}, "
                f"channel {channel} ({int(bad.any(axis=(1, 2)).sum())} such images among {len(bad)})"
            )


def _header(shape: tuple[int, ...], encoder: str) -> bytes:
    """Length and JSON of the header, padded with spaces to a multiple of eight bytes."""
    size = int(np.prod(shape, dtype=np.int64)) * _BYTES
    meta = {"encoder": encoder, "version": str(VERSION), "count": str(shape[0])}
    tensor = {"dtype": "F16", "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": meta, _TENSOR: tensor}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class FeatureShard:
    """An open shard. Its rows are read when they are asked for; close it, or let it go."""

    def __init__(self, path: Path, handle: int, start: int, shape: tuple[int, int, int]) -> None:
        self.path = path
        self.count, self.positions, self.channels = shape
        self._handle, self._start = handle, start
        self._row = self.positions * self.channels * _BYTES

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Sequence[int]) -> Tensor:
        """(batch, positions, channels), float32.

        Raises:
            TrainingError: the file was cut meanwhile.
            IndexError: there is no such image.
        """
        out = np.empty((len(indices), self.positions, self.channels), np.float16)
        for place, index in enumerate(indices):
            self.read_into(out[place], index)
        return torch.from_numpy(out.astype(np.float32))

    def read_into(self, out: Features, index: int) -> None:
        """One image's features into ``out`` (positions, channels), which is contiguous. Raises as :meth:`batch`."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path.name} has {self.count} images, and none at {index}")
        view, done = out.data.cast("B"), 0
        while done < self._row:
            read = os.preadv(self._handle, [view[done:]], self._start + index * self._row + done)
            if not read:
                raise TrainingError(f"{self.path.name} was cut while it was read: image {index} is not whole")
            done += read

    def expect_all(self) -> None:
        """Tell the system that a shard of usual size is read soon; of a large one :meth:`expect` says which images."""
        if self._row * self.count <= _AHEAD:
            os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_WILLNEED)

    def expect(self, index: int) -> None:
        """Tell the system that this image of a large shard is read soon, so that the disk works meanwhile."""
        if self._row * self.count > _AHEAD:
            os.posix_fadvise(self._handle, self._start + index * self._row, self._row, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the file; twice does no harm."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.close()


def open_features(path: Path, encoder: str) -> FeatureShard:
    """Open a shard and check its header; no feature is read.

    Raises:
        TrainingError: there is no such file, it is no such shard, it is cut, or another encoder made it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error
    with ExitStack() as undo:
        undo.callback(os.close, handle)
        start, shape, made_by = _read_header(path, handle, os.fstat(handle).st_size)
        _check_encoder(path, made_by, encoder)
        undo.pop_all()
    return FeatureShard(path, handle, start, shape)


def _check_encoder(path: Path, made_by: str, encoder: str) -> None:
    if made_by != encoder:
        raise TrainingError(
            f"{path.name} was made by another encoder ({made_by[:12]}), not by this one ({encoder[:12]}); "
            "encode the images again"
        )


def _read_header(path: Path, handle: int, size: int) -> tuple[int, tuple[int, int, int], str]:
    """Where the numbers begin, their shape, and the encoder's digest."""
    length = int.from_bytes(os.pread(handle, 8, 0), "little")
    if not 0 < length <= min(_MAX_HEADER, size - 8):
        raise TrainingError(f"{path.name} is no shard of features, or only the beginning of one")
    try:
        data = json.loads(os.pread(handle, length, 8))
        tensor, meta = data[_TENSOR], data["__metadata__"]
        images, positions, channels = (_natural(number) for number in tensor["shape"])
        offsets, count, made_by = tensor["data_offsets"], meta["count"], meta["encoder"]
        as_ours = (tensor["dtype"], meta["version"], len(data)) == ("F16", str(VERSION), 2) and isinstance(made_by, str)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"{path.name} is no shard of features: its header cannot be read") from error
    if not as_ours or positions * channels == 0 or count != str(images):
        raise TrainingError(f"{path.name} is no shard of features of layout {VERSION}: its header says other things")
    wanted = images * positions * channels * _BYTES
    if offsets != [0, wanted] or size != 8 + length + wanted:
        raise TrainingError(f"{path.name} is cut or too long: {size} bytes, not {8 + length + wanted}; make it again")
    return 8 + length, (images, positions, channels), made_by


def _natural(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 2**40:
        raise ValueError(f"{number!r} is no size")
    return number
