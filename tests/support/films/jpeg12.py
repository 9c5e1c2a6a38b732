"""A JPEG encoder of 12 bits, extended sequential DCT (ISO/IEC 10918-1, process 4): no wheel has one that keeps to 12.

Huffman codes all have one length, which the standard allows: the file is larger and the encoder short.
"""

import struct

import numpy as np

_STEP = 4  # the quantiser of every coefficient
_DC_LENGTH, _AC_LENGTH = 5, 8
_AC_SYMBOLS = [0x00, 0xF0] + [zeros << 4 | size for zeros in range(16) for size in range(1, 16)]
_AC_CODES = {symbol: f"{code:0{_AC_LENGTH}b}" for code, symbol in enumerate(_AC_SYMBOLS)}


def _cosines():
    place, frequency = np.meshgrid(np.arange(8), np.arange(8))
    return np.cos((2 * place + 1) * frequency * np.pi / 16) * np.where(frequency == 0, np.sqrt(1 / 8), 0.5)


def _zigzag():
    """Row and column of the 64 coefficients: diagonals in turns up and down."""
    places = [(row, column) for row in range(8) for column in range(8)]
    return sorted(places, key=lambda one: (sum(one), one[0] if sum(one) % 2 else one[1]))


def encode(values):
    """The codestream of (rows, columns) values below 4096."""
    rows, columns = values.shape
    padded = np.pad(values.astype(float) - 2048, ((0, -rows % 8), (0, -columns % 8)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, -1, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    cosines = _cosines()
    quantised = np.rint(cosines @ blocks @ cosines.T / _STEP).astype(int)
    order = np.array(_zigzag())
    return _header(rows, columns) + _scan(quantised[:, order[:, 0], order[:, 1]]) + b"\xff\xd9"


def _scan(coefficients):
    bits, before = [], 0
    for block in coefficients:
        bits += [_dc(int(block[0]) - before), _ac(block[1:])]
        before = int(block[0])
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _dc(step):
    return f"{abs(step).bit_length():0{_DC_LENGTH}b}" + _amplitude(step)


def _ac(block):
    out, last = "", -1
    for place in np.flatnonzero(block):
        zeros = place - last - 1
        out += _AC_CODES[0xF0] * (zeros // 16)
        value = int(block[place])
        out += _AC_CODES[zeros % 16 << 4 | abs(value).bit_length()] + _amplitude(value)
        last = place
    return out + (_AC_CODES[0] if last < 62 else "")


def _amplitude(value):
    """Table F.1: a negative value is written as its complement."""
    size = abs(value).bit_length()
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def _header(rows, columns):
    quantisers = _segment(0xDB, bytes([0]) + bytes([_STEP]) * 64)
    frame = _segment(0xC1, struct.pack(">BHHBBBB", 12, rows, columns, 1, 1, 0x11, 0))
    tables = _segment(0xC4, _codes(0x00, range(16), _DC_LENGTH) + _codes(0x10, _AC_SYMBOLS, _AC_LENGTH))
    return b"\xff\xd8" + quantisers + frame + tables + _segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0]))


def _codes(kind, symbols, length):
    counts = bytearray(16)
    counts[length - 1] = len(symbols)
    return bytes([kind]) + bytes(counts) + bytes(symbols)


def _segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
