"""SentencePiece's byte pairs and the slow LlamaTokenizer in plain Python: what the references are made with.

Written after ``bpe_model.cc`` of google/sentencepiece and ``tokenization_llama.py`` of transformers 4.43 to 4.57, with
nothing of ours and nothing of the ``tokenizers`` library in it. :func:`check` holds it against llama_tokens.json, whose
ids SentencePiece itself and the slow LlamaTokenizer of transformers 4.30 made. Writes legacy_texts.json:

    .venv/bin/python tests/unit/model/reference/slow_llama.py
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from transformers.utils import sentencepiece_model_pb2_new as protocol

HERE = Path(__file__).parent
SPACE = "▁"
NORMAL = 1
TEXTS = [
    *("", "a", "</s>", "<s>", "a</s>b", "a</s> b", "a</s>  b", "a </s>b", "a </s> b", "</s>a", "</s> a", "<s></s>a"),
    *("<s>a</s>", "<unk>x", "x<unk>", "x<unk>y", "<unk> y", "a</s></s>b", "a</s><s>b", "a</s>\nb", "a</s>\tb"),
    *("a</s>▁b", "x▁y</s>z", "naïve</s>naïve", "肺</s>肺", "🫁</s>🫁", "38 °C</s>38 °C", "###</s>###", "'s</s>'s"),
    "a</s>A</s>a</s>",
    *("Hello <s>.", "Hello</s>.", "Hello</s>,", "1</s>2</s>3", "UPPER</s>UPPER", "</", "</s", "a</ s>b", "a</s>" * 5),
    "Clear lungs.</s>USER: Is there an effusion? ASSISTANT:",
    "Clear lungs.</s> USER: Is there an effusion? ASSISTANT:",
    "Clear lungs.</s>  USER:  Is there an effusion?  ASSISTANT: ",
    "\nProvide a description. ASSISTANT: Normal.</s>USER: And? ASSISTANT: No.</s>USER: Sure? ASSISTANT:",
    "Given the current frontal image<s> and the prior frontal image<s> PRIOR_REPORT: N/A",
    "Given the current frontal image only<s> Provide a description", "no effusion</s>No effusion</s> no effusion",
    "line\nbreak</s>line\nbreak", "température</s>é", "a" * 40 + "</s>" + "a" * 40, "\u00a0</s>\u00a0", "{x}</s>{x}",
]  # fmt: skip


class SentencePiece:
    """``SentencePieceProcessor`` for LLaMA's kind of model: byte pairs, text unchanged, bytes for what is unknown."""

    def __init__(self, file: Path) -> None:
        model = protocol.ModelProto.FromString(file.read_bytes())
        self.ids = {piece.piece: number for number, piece in enumerate(model.pieces)}
        self._scores = {piece.piece: piece.score for piece in model.pieces if piece.type == NORMAL}

    def encode(self, text: str, *, dummy_prefix: bool) -> list[str]:
        """The pieces: again and again the neighbours that make the best piece are joined, the left ones first."""
        symbols = list(text.replace(" ", SPACE))
        if symbols and dummy_prefix:
            symbols.insert(0, SPACE)
        while True:
            pairs = [left + right for left, right in pairwise(symbols)]
            known = [(-self._scores[pair], at) for at, pair in enumerate(pairs) if pair in self._scores]
            if not known:
                break
            at = min(known)[1]
            symbols[at : at + 2] = [pairs[at]]
        return [piece for symbol in symbols for piece in self._or_bytes(symbol)]

    def _or_bytes(self, symbol: str) -> list[str]:
        return [symbol] if symbol in self._scores else [f"<0x{byte:02X}>" for byte in symbol.encode()]


class SlowLlama:
    """``LlamaTokenizer(legacy=…)`` with its control words, without BOS."""

    def __init__(self, words: Sequence[str] = (), *, legacy: bool, file: Path = HERE / "tokenizer.model") -> None:
        self._pieces, self._legacy = SentencePiece(file), legacy
        self._words = ["<unk>", "<s>", "</s>", *words]
        size = len(self._pieces.ids)
        self.ids = self._pieces.ids | {word: size + number for number, word in enumerate(words)}
        longest = sorted(self._words, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest))})")

    def encode(self, text: str) -> list[int]:
        """``tokenizer(text, add_special_tokens=False).input_ids``."""
        return [self.ids[token] for token in self._tokens(text)]

    def _tokens(self, text: str) -> list[str]:
        """``tokenize``."""
        if self._legacy or not text:
            return self._parts(text)
        tokens = self._parts(SPACE + text.replace(SPACE, " "))
        begins_with_control = len(tokens) > 1 and tokens[0] == SPACE and tokens[1] in self._words
        return tokens[1:] if begins_with_control else tokens

    def _parts(self, text: str) -> list[str]:
        found: list[str] = []
        for part in self._split.split(text):
            found += [part] if part in self._words else self._pieces_of(part) if part else []
        return found

    def _pieces_of(self, text: str) -> list[str]:
        """``_tokenize``: the prefix is SentencePiece's where it is legacy, and put before the whole text otherwise."""
        if self._legacy or not text.startswith((SPACE, " ")):
            return self._pieces.encode(text, dummy_prefix=self._legacy)
        head = len(self._pieces.encode("<unk>", dummy_prefix=False))
        return self._pieces.encode(f"<unk>{text}", dummy_prefix=False)[head:]


def check() -> None:
    """Refuse to make references with an implementation that is not SentencePiece's."""
    made = json.loads((HERE / "llama_tokens.json").read_text())
    tokenizer = SlowLlama(legacy=True)
    for entry in made["texts"]:
        assert tokenizer.encode(entry["text"]) == entry["ids"], entry["text"]


def main() -> None:
    check()
    legacy, new = SlowLlama(legacy=True), SlowLlama(legacy=False)
    made = [{"text": text, "legacy": legacy.encode(text), "new": new.encode(text)} for text in TEXTS]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in made)
    (HERE / "legacy_texts.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
