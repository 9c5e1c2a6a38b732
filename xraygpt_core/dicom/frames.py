"""The protocol between the sandbox and its child: frames of a 64-bit length and a body, over one socket pair.

The child may be taken over by what it decodes, so the parent reads plain JSON and bytes, never pickles, and nothing
longer than it expects.
"""

import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from datetime import time as time_of_day
from itertools import pairwise
from math import isfinite
from typing import Any, TypeVar

from xraygpt_core.clinical_text import LONGEST, Clinical
from xraygpt_core.dicom.types import DeepCopy, HeaderFacts, Identifiers, NormalisedImage, Pair, StatedFacts
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, Origin, ReasonCode

T = TypeVar("T")

_READY = b"ready"
_LENGTH = struct.Struct(">Q")
_SIZES = struct.Struct(">IIII")  # JSON, normalised PNG, preview PNG, 16-bit PNG
_MOST_REPLY_BYTES = 64 * 2**20  # PNGs of at most 2048 x 2048 pixels, 3 bytes each, and 1024 x 1024 are far below
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT = (str, type(None))
_SIZE = (int, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    "rows": (int,),
    "columns": (int,),
    "pixel_sha256": (str,),
    "view": _TEXT,
    "modality": _TEXT,
    "kind": (str,),
    "expected_images": _SIZE,
    "histogram_gaps": (float,),
}


class ProtocolError(Exception):
    """The other side closed the socket or does not keep to the protocol."""


def send(channel: socket.socket, body: bytes, deadline: float | None = None) -> None:
    """Send one frame.

    Raises:
        TimeoutError: the deadline (on ``time.monotonic``'s clock) passed.
        OSError: the other side is gone.
    """
    for part in (_LENGTH.pack(len(body)), body):
        _allow_until(channel, deadline)
        channel.sendall(part)


def receive(channel: socket.socket, *, most: int, deadline: float | None = None) -> bytes | None:
    """The next frame's body; None if the other side closed before it began.

    Args:
        channel: a connected stream socket.
        most: bytes.
        deadline: on ``time.monotonic``'s clock.

    Raises:
        TimeoutError: the deadline passed.
        ProtocolError: closed in the middle of a frame, or the frame is longer than ``most``.
    """
    head = _exactly(channel, _LENGTH.size, deadline)
    if not head:
        return None
    length = _LENGTH.unpack(head)[0]
    if length > most:
        raise ProtocolError(f"a frame of {length} bytes")
    body = _exactly(channel, length, deadline)
    if len(body) < length:
        raise ProtocolError("closed in the middle of a frame")
    return bytes(body)


def _exactly(channel: socket.socket, size: int, deadline: float | None) -> bytearray:
    """``size`` bytes, or none at all if the other side has closed."""
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        _allow_until(channel, deadline)
        got = channel.recv_into(view[filled:])
        if not got:
            if filled:
                raise ProtocolError("closed in the middle of a frame")
            return bytearray()
        filled += got
    return buffer


def _allow_until(channel: socket.socket, deadline: float | None) -> None:
    if deadline is not None:
        channel.settimeout(max(deadline - time.monotonic(), 1e-3))


def receive_reply(channel: socket.socket, deadline: float) -> bytes | None:
    """:func:`receive` with the limit of a reply."""
    return receive(channel, most=_MOST_REPLY_BYTES, deadline=deadline)


def pack_ready(cell: list[str]) -> bytes:
    """A child's first message: which layers of its cell stand."""
    return b" ".join([_READY, *(layer.encode() for layer in cell)])


def unpack_ready(reply: bytes | None) -> list[str]:
    """What :func:`pack_ready` was given.

    Raises:
        ProtocolError: this is something else.
    """
    first, *layers = (reply or b"-").split() or [b""]
    if first != _READY:
        raise ProtocolError("not ready")
    return [layer.decode("ascii", "replace") for layer in layers]


def pack_image(image: NormalisedImage) -> bytes:
    """The reply for an accepted image."""
    fields = asdict(image)
    pngs = [fields.pop("normalised_png"), fields.pop("preview_png")]
    if image.deep:
        pngs.append(fields["deep"].pop("png"))
    fields["facts"] = _written(image.facts)
    return _pack({"image": fields}, *pngs)


def pack_identifiers(identifiers: Identifiers) -> bytes:
    """The reply of a child that reads headers only."""
    return _pack({"identifiers": asdict(identifiers)})


def pack_facts(stated: StatedFacts) -> bytes:
    """The reply of a child that reads what headers say of their films."""
    return _pack({"stated": asdict(stated) | {"facts": _written(stated.facts)}})


def _written(facts: HeaderFacts) -> dict[str, Any]:
    moments = {"acquired_on": facts.acquired_on, "acquired_time": facts.acquired_time}
    return asdict(facts) | {name: value and value.isoformat() for name, value in moments.items()}


def pack_rejection(rejection: Rejected) -> bytes:
    """The reply for a rejected one."""
    return _pack({"rejected": [rejection.reason, rejection.detail]})


def _pack(answer: dict[str, Any], normalised: bytes = b"", preview: bytes = b"", deep: bytes = b"") -> bytes:
    parts = (json.dumps(answer).encode(), normalised, preview, deep)
    return b"".join([_SIZES.pack(*map(len, parts)), *parts])


def unpack(reply: bytes) -> NormalisedImage:
    """The image in a reply.

    Raises:
        Rejected: the reply is a rejection.
        ProtocolError: the reply is nothing that :func:`pack_image` or :func:`pack_rejection` makes.
    """
    return _unpack(reply, lambda answer, *pixels: _image(answer["image"], *pixels))


def unpack_identifiers(reply: bytes) -> Identifiers:
    """What :func:`pack_identifiers` was given.

    Raises:
        Rejected, ProtocolError: as :func:`unpack`.
    """
    return _unpack(reply, lambda answer, *_: _identifiers(answer["identifiers"]))


def unpack_facts(reply: bytes) -> StatedFacts:
    """What :func:`pack_facts` was given.

    Raises:
        Rejected, ProtocolError: as :func:`unpack`.
    """
    return _unpack(reply, lambda answer, *_: _stated(answer["stated"]))


def _unpack(reply: bytes, read: Callable[..., T]) -> T:
    try:
        sizes = _SIZES.unpack_from(reply)
        ends = [_SIZES.size + sum(sizes[:count]) for count in range(len(sizes) + 1)]
        if ends[-1] != len(reply):
            raise ProtocolError("a reply of the wrong length")
        body, *pngs = (reply[start:end] for start, end in pairwise(ends))
        answer = json.loads(body)
        if "rejected" in answer:
            reason, detail = answer["rejected"]
            rejection = Rejected(ReasonCode(reason), str(detail)[:300])
        else:
            return read(answer, *pngs)
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProtocolError(f"a reply that cannot be read ({type(error).__name__})") from None
    raise rejection


def _identifiers(fields: dict[str, Any]) -> Identifiers:
    identifiers = Identifiers(**fields)
    if any(type(value) not in _TEXT for value in asdict(identifiers).values()):
        raise TypeError("identifiers")
    return identifiers


def _clinical(fields: dict[str, Any]) -> Clinical:
    clinical = Clinical(**fields)
    if any(type(text) not in _TEXT or len(text or "") > LONGEST for text in asdict(clinical).values()):
        raise TypeError("clinical")
    return clinical


def _stated(fields: dict[str, Any]) -> StatedFacts:
    facts = _facts(fields.pop("facts"))
    if type(fields["exchanged"]) is not bool or any(type(fields[name]) not in _SIZE for name in ("rows", "columns")):
        raise TypeError("stated")
    return StatedFacts(facts=facts, **fields)


def _facts(fields: dict[str, Any]) -> HeaderFacts:
    """Raises ValueError, TypeError or KeyError for anything but facts."""
    day, hour, spacing = fields.pop("acquired_on"), fields.pop("acquired_time"), fields.pop("spacing_mm")
    if spacing is not None:
        spacing = _pair(spacing)
        if min(spacing) <= 0:
            raise ValueError("spacing")
    if fields["laterality"] not in (None, "L", "R") or fields["spacing_at"] not in (None, "patient", "detector"):
        raise ValueError("facts")
    return HeaderFacts(
        acquired_on=None if day is None else date.fromisoformat(day),
        acquired_time=None if hour is None else time_of_day.fromisoformat(hour).replace(tzinfo=None),
        spacing_mm=spacing,
        **fields,
    )


def _pair(value: Any) -> Pair:
    first, second = value
    if any(type(one) is not float or not isfinite(one) for one in (first, second)):
        raise ValueError("two numbers")
    return first, second


def _deep(fields: dict[str, Any] | None, png: bytes) -> DeepCopy | None:
    """Raises ValueError, TypeError or KeyError for anything but a 16-bit copy or none."""
    if fields is None and not png:
        return None
    if fields is None or fields.keys() != {"scale", "window"} or not png.startswith(_PNG):
        raise ValueError("a 16-bit copy")
    scale, window = _pair(fields["scale"]), _pair(fields["window"])
    if scale[1] == 0 or window[1] <= 0:
        raise ValueError("scale")
    return DeepCopy(png, scale, window)


def _image(fields: dict[str, Any], normalised: bytes, preview: bytes, deep: bytes) -> NormalisedImage:
    """Raises ValueError, TypeError or KeyError for anything but what :func:`pack_image` was given."""
    flags = tuple(Flag(flag) for flag in fields.pop("flags"))
    identifiers, facts = _identifiers(fields.pop("identifiers")), _facts(fields.pop("facts"))
    clinical = _clinical(fields.pop("clinical"))
    origin, copy = Origin(fields.pop("origin")), _deep(fields.pop("deep"), deep)
    for name, kinds in _KINDS.items():
        if type(fields[name]) not in kinds:
            raise TypeError(name)
    if not normalised.startswith(_PNG) or not preview.startswith(_PNG):
        raise ValueError("an image without pixels")
    return NormalisedImage(
        normalised_png=normalised,
        preview_png=preview,
        flags=flags,
        origin=origin,
        identifiers=identifiers,
        facts=facts,
        deep=copy,
        clinical=clinical,
        **fields,
    )
