"""A first look at a picture, by its first bytes: enough to find most bad ones among 200,000 in minutes.

Nothing is decoded, so that no file can do harm here; :mod:`xraygpt_core.dicom.sandbox` decodes, and decides.
"""

import struct

from xraygpt_core.dicom.admission import SHORTEST_SIDE
from xraygpt_core.dicom.parse import is_dicom
from xraygpt_core.dicom.png import SIGNATURE
from xraygpt_core.errors import Rejected, TrainingError
from xraygpt_core.states import ReasonCode
from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.lines import READ_ERRORS
from xraygpt_core.training.datasets.problems import Kind

_HEAD = 2**16  # bytes
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF; DHT, JPG and DAC are none (ISO/IEC 10918-1)
Objection = tuple[str, Kind]


def first_look(files: Files, address: str) -> Objection | None:
    """Why the file can be no film, as a sentence and its kind; None: it may be one."""
    try:
        with files.open(address) as stream:
            head = stream.read(_HEAD)
    except TrainingError as error:
        return str(error), Kind.UNREADABLE_IMAGE
    except READ_ERRORS as error:
        return f"it cannot be read ({type(error).__name__})", Kind.UNREADABLE_IMAGE
    if not head:
        return "the file has no bytes", Kind.NO_IMAGE
    if not head.startswith((SIGNATURE, _JPEG)):
        return None if is_dicom(head) else ("it is neither DICOM nor PNG nor JPEG", Kind.NO_IMAGE)
    size = _size(head)
    if size is not None and min(size) < SHORTEST_SIDE:
        rows, columns = size
        return f"{rows} x {columns} pixels; the shorter side must have {SHORTEST_SIDE}", Kind.SMALL_IMAGE
    return None


def refused(rejection: Rejected) -> Objection:
    """The sandbox's refusal in the same form. It never quotes the file."""
    kinds = {
        ReasonCode.TOO_SMALL: Kind.SMALL_IMAGE,
        ReasonCode.TRUNCATED: Kind.CUT_IMAGE,
        ReasonCode.NOT_DICOM_OR_IMAGE: Kind.NO_IMAGE,
        ReasonCode.EMPTY: Kind.NO_IMAGE,
        ReasonCode.UNDECODABLE: Kind.NO_IMAGE,
        ReasonCode.NO_FRONTAL_VIEW: Kind.LATERAL,
    }
    return rejection.detail, kinds.get(rejection.reason, Kind.REFUSED_IMAGE)


def _size(head: bytes) -> tuple[int, int] | None:
    """Rows and columns as the header of a PNG or JPEG says them; None where they do not stand in these bytes."""
    try:
        if head.startswith(SIGNATURE):
            columns, rows = struct.unpack_from(">II", head, 16)
            return rows, columns
        position = 2
        while head[position] == 0xFF:
            marker = head[position + 1]
            if marker in _FRAMES:
                return struct.unpack_from(">HH", head, position + 5)
            position += 2 + struct.unpack_from(">H", head, position + 2)[0] if marker != 0xFF else 1
    except (struct.error, IndexError):
        return None
    return None
