"""Small files that would cost much: items without end, sequences within sequences, elements without end."""

import struct
import zlib

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, number) for number in (0xE000, 0xE00D, 0xE0DD))
STEP = struct.pack("<HH", 0x0040, 0x0275)  # Request Attributes Sequence, which is read for the view
WINDOW = struct.pack("<HH", 0x0028, 0x1050)  # Window Center: numbers with backslashes between them
LONG = (b"OW", b"OB", b"SQ", b"UN", b"UT")
_CLOSE = ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)


def element(group, number, vr, value):
    tag = struct.pack("<HH", group, number)
    return tag + vr + (b"\0\0" + struct.pack("<I", len(value)) if vr in LONG else struct.pack("<H", len(value))) + value


def file(body, syntax=ExplicitVRLittleEndian):
    meta = element(2, 0x10, b"UI", syntax.encode() + b"\0" * (len(syntax) % 2))
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


def head():
    """A chest film up to its group 28."""
    words = ((0x02, 1), (0x10, 256), (0x11, 256), (0x100, 16), (0x101, 12), (0x102, 11), (0x103, 0))
    about = [element(0x28, number, b"US", struct.pack("<H", value)) for number, value in words]
    about.insert(1, element(0x28, 4, b"CS", b"MONOCHROME2 "))
    return b"".join(
        [
            element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0"),
            element(8, 0x60, b"CS", b"CR"),
            element(0x18, 0x15, b"CS", b"CHEST "),
            *about,
        ]
    )


def pixels():
    values = [row * column % 4096 for row in range(256) for column in range(256)]
    return element(0x7FE0, 0x10, b"OW", struct.pack(f"<{len(values)}H", *values))


def deflated(block, count):
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -15)
    parts = [
        squeezed.compress(head() + STEP + b"SQ\0\0" + UNDEFINED),
        *(squeezed.compress(block) for _ in range(count)),
    ]
    return file(b"".join([*parts, squeezed.flush()]), DeflatedExplicitVRLittleEndian)


def sequence(items, *, closed=True):
    return STEP + b"SQ\0\0" + UNDEFINED + items + (SEQUENCE_END + bytes(4) if closed else b"")


def nested(depth):
    return (STEP + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED) * depth + _CLOSE * depth


def nested_by_length(depth):
    inner = b""
    for _ in range(depth):
        inner = element(0x40, 0x0275, b"SQ", ITEM + struct.pack("<I", len(inner)) + inner)
    return inner


def items_of(one, size):
    return (ITEM + struct.pack("<I", len(one)) + one) * (size // (len(one) + 8))


def bombs(size):
    """By name: files of about ``size`` bytes, or that grow to many times as many."""
    block = (ITEM + bytes(4)) * 2**17
    deep = ITEM + UNDEFINED + nested(60) + ITEM_END + bytes(4)
    open_deep = (STEP + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED) * 60 + ITEM_END + bytes(4)
    odd = b"".join(struct.pack("<HH", 9, 0x1000 + number) + b"  \0\0" + bytes(4) for number in range(0xE000))
    private = b"".join(struct.pack("<HH", 9, 0x1000 + number) + b"CS\0\0" for number in range(0xE000))
    within = {
        "items": sequence((ITEM + bytes(4)) * (size // 8)),
        "open items": sequence((ITEM + UNDEFINED + ITEM_END + bytes(4)) * (size // 16)),
        "nested": nested(size // 36),
        "nested 60 deep": sequence(deep * (size // len(deep))),
        "nested by length": nested_by_length(3000),
        "nested in items by length": element(0x40, 0x0275, b"SQ", items_of(nested_by_length(60), size)),
        "nested without lengths in an item by length": element(0x40, 0x0275, b"SQ", items_of(nested(4000), size)),
        "small elements in items": element(0x40, 0x0275, b"SQ", items_of(private[:4000], size)),
        "unclosed": (STEP + b"SQ\0\0" + UNDEFINED + ITEM + bytes(4)) * (size // 20),
        "unclosed 60 deep": open_deep * (size // len(open_deep)),
        "small elements": private * (size // len(private) + 1),
        "blanks for a VR": odd * (size // len(odd) + 1),
        "marks of pixels": (struct.pack("<HH", 0x7FE0, 0x10) + b"OW\0\0\xf0\xff\xff\x0f") * (size // 12),
        "letters": element(9, 0x1001, b"UN", b"")[:-4] + UNDEFINED + b"AE" * (size // 2),
        "numbers": WINDOW + b"UT\0\0" + struct.pack("<I", size // 2 * 2) + b"1\\" * (size // 2),
    }
    files = {name: file(head() + part + pixels()) for name, part in within.items()}
    many = (struct.pack("<HH", 2, 0x10) + b"CS\0\0") * (size // 8)
    return files | {
        "deflated items": deflated(block, 48),
        "deflated zeros": deflated(bytes(2**20), 48),
        "items, and no end": file(head() + sequence((ITEM + bytes(4)) * (size // 8), closed=False)),
        "elements of group 2": bytes(128) + b"DICM" + many + head() + pixels(),
    }
