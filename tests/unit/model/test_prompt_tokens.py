"""Ids of prompts and texts are those of the reference tokenisation, computed once by reference/make_llama_tokens.py."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers
from transformers.convert_slow_tokenizer import LlamaConverter

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.importing.sentencepiece import build_tokenizer, read_pieces
from xraygpt_core.model.prompt import QUESTIONS, clean_answer, fit_turns, render, template_named, tokenise

HERE = Path(__file__).parent / "reference"
REFERENCE: dict[str, Any] = json.loads((HERE / "llama_tokens.json").read_text())
LEGACY: list[dict[str, Any]] = json.loads((HERE / "legacy_texts.json").read_text())
TURNS = [(question, answer) for question, answer in REFERENCE["turns"]]


@pytest.fixture(scope="module")
def raw() -> Any:
    return build_tokenizer(read_pieces(HERE / "tokenizer.model"))


@pytest.fixture(scope="module")
def tokenizer(raw: Any) -> Any:
    encode = lambda text, *, add_special_tokens: raw.encode(text, add_special_tokens=add_special_tokens).ids  # noqa: E731
    added = lambda: {token.content: number for number, token in raw.get_added_tokens_decoder().items()}  # noqa: E731
    return SimpleNamespace(bos_token_id=1, encode=encode, get_added_vocab=added)


@pytest.mark.parametrize("entry", REFERENCE["texts"], ids=lambda entry: repr(entry["text"][:20]))
def test_texts_have_the_ids_of_sentencepiece(raw: Any, entry: dict[str, Any]) -> None:
    assert raw.encode(entry["text"], add_special_tokens=False).ids == entry["ids"]


@pytest.mark.parametrize("legacy", [True, False])
def test_fifty_texts_with_control_words_inside_have_the_ids_of_the_slow_tokeniser_in_both_of_its_ways(
    legacy: bool,
) -> None:
    tokenizer = build_tokenizer(read_pieces(HERE / "tokenizer.model"), legacy=legacy)
    made = [tokenizer.encode(entry["text"], add_special_tokens=False).ids for entry in LEGACY]
    assert made == [entry["legacy" if legacy else "new"] for entry in LEGACY]
    assert len(LEGACY) > 50
    assert sum(entry["legacy"] != entry["new"] for entry in LEGACY) > 25


@pytest.mark.parametrize("legacy", [True, False])
def test_text_is_cut_as_transformers_fast_tokeniser_cuts_it_in_both_of_its_ways(legacy: bool) -> None:
    ours = build_tokenizer(read_pieces(HERE / "tokenizer.model"), legacy=legacy)
    theirs = Tokenizer.from_str(ours.to_str())
    shape = SimpleNamespace(original_tokenizer=SimpleNamespace(legacy=legacy, add_prefix_space=True))
    theirs.normalizer = LlamaConverter.normalizer(shape, None) or normalizers.Sequence([])
    if (cuts := LlamaConverter.pre_tokenizer(shape, "▁", True)) is not None:
        theirs.pre_tokenizer = cuts
    for entry in [*LEGACY, *REFERENCE["texts"]]:
        text = entry["text"]
        assert (text, ours.encode(text).ids) == (text, theirs.encode(text).ids)


@pytest.mark.parametrize("name", sorted(REFERENCE["prompts"]))
def test_a_first_prompt_has_the_ids_of_the_reference(tokenizer: Any, name: str) -> None:
    prompt = render(template_named(name), REFERENCE["question"])
    assert list(tokenise(prompt, tokenizer)) == REFERENCE["prompts"][name][0]


@pytest.mark.parametrize("name", sorted(REFERENCE["prompts"]))
def test_a_second_turns_prompt_has_the_ids_of_the_reference(tokenizer: Any, name: str) -> None:
    prompt = render(template_named(name), REFERENCE["next"], TURNS)
    assert list(tokenise(prompt, tokenizer)) == REFERENCE["prompts"][name][1]


def test_every_template_has_a_reference() -> None:
    several = json.loads((HERE / "image_prompts.json").read_text())
    with pytest.raises(BundleError, match=", ".join(sorted([*REFERENCE["prompts"], *several]))):
        template_named("none of them")


@pytest.mark.parametrize("name", sorted(REFERENCE["prompts"]))
def test_what_does_not_fit_is_cut_from_the_turns_and_never_from_bos_system_or_image(tokenizer: Any, name: str) -> None:
    template = template_named(name)
    turns = [*TURNS, ("And the right one?", "Clear.")] * 5
    before, _ = tokenise(render(template, "Why?"), tokenizer)
    for room in range(70, 400, 15):
        try:
            prompt = fit_turns(template, "Why?", turns, tokenizer, room)
        except InvalidRequest:
            continue
        cut_before, cut_after = tokenise(prompt, tokenizer)
        assert cut_before == before
        assert cut_before[0] == 1
        assert "Why?" in prompt.after
        assert len(cut_before) + len(cut_after) <= room


def test_braces_in_a_question_are_only_braces() -> None:
    prompt = render(template_named("xraygpt-code"), "{question} {0}", [("{a}", "{b}")])
    assert prompt.after == "</Img> {a} ###Doctor: {b} ###Patient: {question} {0} ###Doctor:"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Clear lungs.", "Clear lungs."),
        ("Patient: hello Doctor: Clear lungs. ", "Clear lungs."),
        ("Doctor: first Doctor: second", "second"),
        ("I am ChatDoctor. Chat Doctor says so.", "I am XrayGPT. XrayGPT says so."),
        ("", ""),
    ],
)
def test_an_answer_is_cleaned_as_the_released_demo_does(said: str, kept: str) -> None:
    assert clean_answer(template_named("xraygpt-code"), said) == kept


def test_there_are_fifteen_questions_and_none_twice() -> None:
    assert len(set(QUESTIONS)) == len(QUESTIONS) == 15
    assert QUESTIONS[0] == REFERENCE["question"]


def test_a_vocabulary_knows_its_kinds_of_pieces() -> None:
    pieces = read_pieces(HERE / "tokenizer.model")
    assert [piece.text for piece in pieces[:4]] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert [piece.kind for piece in pieces[:4]] == [2, 3, 3, 6]


def test_ids_become_the_text_again(raw: Any) -> None:
    for text in ("Normal heart size. No effusion.", "température 肺 🫁", "line\nbreak"):
        assert raw.decode(raw.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize("data", [b"", b"junk", b"\x0a\xff\xff\xff\xff\x7f", b"\x0a\x02\x08\x01", bytes(100)])
def test_what_is_no_sentencepiece_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(BundleError, match=r"tokenizer\.model is not a SentencePiece model"):
        read_pieces(tmp_path / "tokenizer.model")


def test_a_truncated_model_is_refused_or_loses_pieces_only_at_its_end(tmp_path: Path) -> None:
    whole = (HERE / "tokenizer.model").read_bytes()
    for length in (10, 1000, 5000, len(whole) - 1):
        (tmp_path / "tokenizer.model").write_bytes(whole[:length])
        with pytest.raises(BundleError, match="tokenizer"):
            read_pieces(tmp_path / "tokenizer.model")


def test_a_unigram_model_is_refused(tmp_path: Path) -> None:
    piece = b"\x0a\x05\x0a\x03<s>"
    trainer = b"\x12\x02\x18\x01"  # model_type: unigram
    (tmp_path / "tokenizer.model").write_bytes(piece + trainer)
    with pytest.raises(BundleError, match="not of LLaMA's kind"):
        read_pieces(tmp_path / "tokenizer.model")
