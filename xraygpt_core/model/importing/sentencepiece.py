"""A SentencePiece ``tokenizer.model`` of the LLaMA family as a ``tokenizers`` file, without the SentencePiece library.

The reference code tokenises with the slow ``LlamaTokenizer``: byte-pair merges in the order of their scores, bytes for
what no piece covers, and a space put before the text. Its older way (``legacy``) puts one behind every special token,
too; the way of transformers from 4.33 on does not. This does the same.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError

_BPE = 2  # TrainerSpec.ModelType
_SPACE = "▁"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


class PieceType(IntEnum):
    """``SentencePiece.Type`` of sentencepiece_model.proto; GGUF uses the same numbers. Those that matter here."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; its place in the list is its id."""

    text: str
    score: float
    kind: int


def read_pieces(path: Path) -> list[Piece]:
    """The vocabulary of a ``tokenizer.model``.

    Raises:
        BundleError: damaged, or not a model of LLaMA's kind.
    """
    pieces: list[Piece] = []
    kind, keeps_spaces, charsmap = 0, False, b""
    try:
        for number, value in _fields(path.read_bytes()):
            if number == 1:
                pieces.append(_piece(dict(_fields(value))))
            elif number == 2:
                kind = dict(_fields(value)).get(3, 1)
            elif number == 3:
                rules = dict(_fields(value))
                charsmap, keeps_spaces = rules.get(2, b""), rules.get(4, 1) == 0
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise BundleError(f"{path.name} is not a SentencePiece model, or damaged") from error
    if not pieces:
        raise BundleError(f"{path.name} is not a SentencePiece model, or damaged")
    if kind != _BPE or charsmap or not keeps_spaces:
        raise BundleError(f"{path.name} is a SentencePiece model, but not of LLaMA's kind (byte pairs, text unchanged)")
    return pieces


def _piece(fields: dict[int, Any]) -> Piece:
    return Piece(fields[1].decode(), struct.unpack("<f", fields.get(2, bytes(4)))[0], fields.get(3, PieceType.NORMAL))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and raw values of one protocol-buffer message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        value: Any
        if wire == _VARINT:
            value, at = _varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
            if wire == _BYTES:
                length, at = _varint(data, at)
            if length is None or at + length > len(data):
                raise ValueError("not a protocol buffer")
            value, at = data[at : at + length], at + length
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("not a protocol buffer")


def build_tokenizer(pieces: Sequence[Piece], *, legacy: bool = True) -> Any:
    """A ``tokenizers.Tokenizer`` that gives the ids of SentencePiece behind the slow ``LlamaTokenizer``.

    Args:
        legacy: the flag of that name in ``tokenizer_config.json``; where it is missing, it counts as set.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocabulary = {piece.text: index for index, piece in enumerate(pieces)}
    unknown = next((piece.text for piece in pieces if piece.kind == PieceType.UNKNOWN), "<unk>")
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=_merges(pieces), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = [piece.text for piece in pieces if piece.kind in (PieceType.UNKNOWN, PieceType.CONTROL)]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    defined = [piece.text for piece in pieces if piece.kind == PieceType.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in defined])
    return tokenizer


def _merges(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, the best piece first; ties in the order of the halves' ids."""
    index = {piece.text: number for number, piece in enumerate(pieces)}
    found = []
    for piece in pieces:
        halves = [(piece.text[:cut], piece.text[cut:]) for cut in range(1, len(piece.text))]
        in_vocabulary = [(left, right) for left, right in halves if left in index and right in index]
        in_vocabulary.sort(key=lambda pair: (index[pair[0]], index[pair[1]]))
        found += [(-piece.score, pair) for pair in in_vocabulary]
    found.sort(key=lambda entry: entry[0])
    return [pair for _, pair in found]
