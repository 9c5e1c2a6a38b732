"""Mutations of lengths and fragments: padding, cuts, offset tables, delimiters (PS3.5 section 8.2 and annex A.4)."""

import struct
from itertools import pairwise

import numpy as np

from tests.support.films.label_mutations import coded, native
from tests.support.films.mutations import of_files


def _offsets(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _split(draft, file, most):
    """The codestream in several fragments of even length."""
    stream = b"".join(file.fragments)
    count = int(draft.rng.integers(2, most))
    ends = [len(stream) * place // count // 2 * 2 for place in range(count)] + [len(stream)]
    file.fragments = [stream[a:b] for a, b in pairwise(ends)]


@of_files("tail", native)
def bytes_behind_the_pixels(draft, file):
    count = int(draft.rng.choice([1, 2, 3, 100, 5000]))
    file.tail = bytes(draft.rng.integers(0, 256, count, "u1")) if draft.rng.random() < 0.5 else b"\0" * count


@of_files("tail", legal=True)
def elements_behind_the_pixels(draft, file):
    if not file.little or file.implicit:
        return
    junk = b"\0" * int(draft.rng.choice([8, 4000]))
    file.behind = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", len(junk)) + junk


@of_files("tail")
def junk_behind_the_last_element(draft, file):
    file.behind = bytes(draft.rng.integers(0, 256, int(draft.rng.choice([7, 64, 3000])), "u1"))


@of_files("tail+allocated", native)
def a_second_frame_s_worth_of_bytes(draft, file):
    encoded = file.pixels.tobytes()
    file.tail = [b"\0" * len(encoded), encoded][int(draft.rng.integers(2))]


@of_files("meta")
def a_wrong_group_length_of_the_meta_information(draft, file):
    file.group_length = int(draft.rng.choice([-8, 4, 4000]))


@of_files("icon", legal=True)
def overlays_and_private_elements(draft, file):
    file.header[0x60000010], file.header[0x60000011] = ("US", [64]), ("US", [64])
    file.header[0x60000040], file.header[0x60000050] = ("CS", "G"), ("SS", [1, 1])
    file.header[0x60000100], file.header[0x60000102] = ("US", [1]), ("US", [0])
    file.header[0x60003000] = ("OW", np.zeros(256, "u2"))
    file.header[0x00290010] = ("LO", "SOMEBODY")
    file.header[0x00291001] = ("UN", bytes(draft.rng.integers(0, 256, 700, "u1")))


@of_files("tail", native, reasons=("truncated",))
def pixels_cut(draft, file):
    file.cut = int(draft.rng.choice([1, 2, 100, 20_000]))


@of_files("tail", coded, reasons=("truncated",))
def a_codestream_cut(draft, file):
    stream = b"".join(file.fragments)
    kept = int(len(stream) * draft.rng.uniform(0.2, 0.97)) // 2 * 2
    file.fragments = [stream[:kept]]


@of_files("tail", native)
def pixels_of_another_vr(draft, file):
    if file.little:  # in big endian, OB would be another order
        file.vr = "OB" if file.vr == "OW" else "OW"


@of_files("fragments", coded, legal=True)
def several_fragments(draft, file):
    _split(draft, file, 9)


@of_files("fragments", coded, legal=True)
def several_fragments_and_a_true_offset_table(draft, file):
    _split(draft, file, 9)
    file.offsets = _offsets(0)


@of_files("fragments", coded)
def an_offset_for_each_fragment(draft, file):
    _split(draft, file, 6)
    places = [0]
    for one in file.fragments[:-1]:
        places.append(places[-1] + 8 + len(one))
    file.offsets = _offsets(*places[: int(draft.rng.integers(1, len(places) + 1))])


@of_files("fragments", coded)
def an_offset_table_of_nonsense(draft, file):
    if draft.rng.random() < 0.6:
        _split(draft, file, 5)
    wrong = [_offsets(8), _offsets(0, 10**9), _offsets(4_000_000_000), _offsets(0, 0, 0), b"\xff" * 6]
    file.offsets = wrong[int(draft.rng.integers(len(wrong)))]


@of_files("fragments", coded, legal=True)
def no_offset_table_item(draft, file):
    file.offsets = None


@of_files("fragments", coded)
def empty_fragments(draft, file):
    if draft.rng.random() < 0.6:
        _split(draft, file, 5)
    file.fragments.insert(int(draft.rng.integers(len(file.fragments) + 1)), b"")


@of_files("fragments", coded)
def an_odd_fragment(draft, file):
    stream = b"".join(file.fragments)
    cut = len(stream) // 2 * 1 | 1
    file.fragments = [stream[:cut], stream[cut:]] if draft.rng.random() < 0.5 else [stream + b"\0"]


@of_files("fragments", coded)
def an_extended_offset_table(draft, file):
    _split(draft, file, 4)
    table = struct.pack("<Q", int(draft.rng.choice([0, 8, 10**12])))
    file.header[0x7FE00001] = ("OV", table)
    file.header[0x7FE00002] = ("OV", struct.pack("<Q", int(draft.rng.choice([4, sum(map(len, file.fragments))]))))


@of_files("delimiter", coded)
def no_delimiter(draft, file):
    file.delimiter = False


@of_files("padding behind", coded, legal=True)
def padding_behind_the_codestream(draft, file):
    file.fragments[-1] += b"\0" * int(draft.rng.choice([2, 30, 3000]))


@of_files("flips", survives=True)
def bits_flipped_in_the_pixels(draft, file):
    whole = bytearray(file.pixels.tobytes() if file.fragments is None else b"".join(file.fragments))
    for place in draft.rng.integers(0, len(whole), int(draft.rng.integers(1, 30))):
        whole[place] ^= 1 << int(draft.rng.integers(8))
    if file.fragments is None:
        file.pixels = np.frombuffer(bytes(whole), file.pixels.dtype).reshape(file.pixels.shape)
    else:
        file.fragments = [bytes(whole)]
