"""One shard: the normalised images of some pairs through the bundle's encoder, into a file of features."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from xraygpt_core.errors import InvalidRequest, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.feature_shards import encode_pngs, open_features, write_features
from xraygpt_core.model.llm import pick_device
from xraygpt_core.training.pairs import Pair, read_pairs

_SHA256 = re.compile("[0-9a-f]{64}")
_EVERY = 32  # images between two lines of progress

Notify = Callable[[int, int], None]


def encode_shard(
    base: Bundle,
    pairs: Path,
    images: Path,
    out: Path,
    *,
    notify: Notify,
    batch: int = 32,
    workers: int = 1,
    device: str = "auto",
) -> None:
    """Write ``out``, the features of the pairs in their order; nothing is done where it is there already.

    Args:
        pairs: a file of pairs whose ``image`` is the SHA-256 of a normalised PNG.
        images: the folder of these, each ``<sha256>.png``.
        notify: told how many images are read, of how many.

    Raises:
        TrainingError: an image is missing, changed or unreadable, or no number; says of which pair.
        OSError: the disk is full or broken.
    """
    rows, encoder_sha256 = list(read_pairs(pairs)), encoder_digest(base)
    if _is_there(out, encoder_sha256, len(rows)):
        notify(len(rows), len(rows))
        return
    where = pick_device(device)
    encoder = load_frozen_encoder(base, where)
    try:
        values = encode_pngs(encoder, _pictures(rows, images, notify), batch, where, workers)
    except InvalidRequest as error:
        raise TrainingError(f"{pairs.name}: {error}") from error
    write_features(out, values, encoder_sha256)


def load_frozen_encoder(base: Bundle, device: torch.device) -> Encoder:
    """The bundle's encoder on a device.

    Raises:
        BundleError: as :func:`xraygpt_core.model.encoders.encoder.load_encoder`.
    """
    encoder = load_encoder(base.encoder, base.encoder_weights, dict(base.encoder_options))
    encoder.to(device)
    return encoder


def _is_there(out: Path, encoder: str, count: int) -> bool:
    with suppress(TrainingError):
        return len(open_features(out, encoder)) == count
    return False


def _pictures(rows: Sequence[Pair], images: Path, notify: Notify) -> Iterator[bytes]:
    """The PNG of each pair, and no other than the pair names."""
    for number, pair in enumerate(rows):
        if not _SHA256.fullmatch(pair.image):
            raise TrainingError(f"pair {pair.pair_id!r}: its image is no SHA-256 of a normalised PNG")
        try:
            png = (images / f"{pair.image}.png").read_bytes()
        except FileNotFoundError as error:
            raise TrainingError(f"pair {pair.pair_id!r}: its image {pair.image[:12]} is missing") from error
        if hashlib.sha256(png).hexdigest() != pair.image:
            raise TrainingError(f"pair {pair.pair_id!r}: its image {pair.image[:12]} is not the one that was prepared")
        yield png
        if (number + 1) % _EVERY == 0 or number + 1 == len(rows):
            notify(number + 1, len(rows))
