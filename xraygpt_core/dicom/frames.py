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
from typing import Any, TypeVar

from xraygpt_core.dicom.types import Identifiers, NormalisedImage
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, Origin, ReasonCode

T = TypeVar("T")

_READY = b"ready"
_LENGTH = struct.Struct(">Q")
_SIZES = struct.Struct(">III")  # JSON, normalised PNG, preview PNG
_MOST_REPLY_BYTES = 64 * 2**20  # two PNGs of at most 2048 x 2048 and 1024 x 1024 pixels are far below
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT = (str, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    "rows": (int,),
    "columns": (int,),
    "pixel_sha256": (str,),
    "view": _TEXT,
    "modality": _TEXT,
    "kind": (str,),
    "expected_images": (int, type(None)),
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
    normalised, preview = fields.pop("normalised_png"), fields.pop("preview_png")
    return _pack({"image": fields}, normalised, preview)


def pack_identifiers(identifiers: Identifiers) -> bytes:
    """The reply of a child that reads headers only."""
    return _pack({"identifiers": asdict(identifiers)}, b"", b"")


def pack_rejection(rejection: Rejected) -> bytes:
    """The reply for a rejected one."""
    return _pack({"rejected": [rejection.reason, rejection.detail]}, b"", b"")


def _pack(answer: dict[str, Any], normalised: bytes, preview: bytes) -> bytes:
    body = json.dumps(answer).encode()
    return _SIZES.pack(len(body), len(normalised), len(preview)) + body + normalised + preview


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


def _unpack(reply: bytes, read: Callable[[dict[str, Any], bytes, bytes], T]) -> T:
    try:
        sizes = _SIZES.unpack_from(reply)
        ends = [_SIZES.size + sum(sizes[: count + 1]) for count in range(3)]
        if ends[2] != len(reply):
            raise ProtocolError("a reply of the wrong length")
        answer = json.loads(reply[_SIZES.size : ends[0]])
        if "rejected" in answer:
            reason, detail = answer["rejected"]
            rejection = Rejected(ReasonCode(reason), str(detail)[:300])
        else:
            return read(answer, reply[ends[0] : ends[1]], reply[ends[1] : ends[2]])
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProtocolError(f"a reply that cannot be read ({type(error).__name__})") from None
    raise rejection


def _identifiers(fields: dict[str, Any]) -> Identifiers:
    identifiers = Identifiers(**fields)
    if any(type(value) not in _TEXT for value in asdict(identifiers).values()):
        raise TypeError("identifiers")
    return identifiers


def _image(fields: dict[str, Any], normalised: bytes, preview: bytes) -> NormalisedImage:
    """Raises ValueError, TypeError or KeyError for anything but what :func:`pack_image` was given."""
    flags = tuple(Flag(flag) for flag in fields.pop("flags"))
    identifiers = _identifiers(fields.pop("identifiers"))
    origin = Origin(fields.pop("origin"))
    for name, kinds in _KINDS.items():
        if type(fields[name]) not in kinds:
            raise TypeError(name)
    if not normalised.startswith(_PNG) or not preview.startswith(_PNG):
        raise ValueError("an image without pixels")
    return NormalisedImage(
        normalised_png=normalised, preview_png=preview, flags=flags, origin=origin, identifiers=identifiers, **fields
    )
