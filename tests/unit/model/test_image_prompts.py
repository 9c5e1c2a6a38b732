"""Prompts with several images: the ids of MAIRA-2's, LLaVA-Rad's and Libra's own programs (make_image_prompts.py)."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import AddedToken

from xraygpt_core.clinical_text import Clinical
from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.clinical_room import fit_prompt
from xraygpt_core.model.importing.sentencepiece import build_tokenizer, read_pieces
from xraygpt_core.model.prompt import Prompt, fit_turns, render, template_named, tokenise
from xraygpt_core.model.templates import reads_clinical
from xraygpt_core.states import ImageRole

HERE = Path(__file__).parent / "reference"
REFERENCE: dict[str, list[dict[str, Any]]] = json.loads((HERE / "image_prompts.json").read_text())
WORDS = ("<image>", "<obj>", "</obj>", "<box>", "</box>", "<x12>", "<y34>")
FRONTAL, LATERAL, PRIOR = ImageRole
HOSPITAL = Clinical("Dyspnea </s> <image>", "Portable AP", "None", "Clear <obj>lungs</obj>")
TEMPLATES = ("maira-2", "llava-rad", "libra", "libra-llama-3")
each_template = pytest.mark.parametrize("name", TEMPLATES)


def llama(words: tuple[str, ...] = (), *, legacy: bool = True) -> Any:
    raw = build_tokenizer(read_pieces(HERE / "tokenizer.model"), legacy=legacy)
    raw.add_special_tokens([AddedToken(word, normalized=False) for word in words])
    return SimpleNamespace(
        bos_token_id=1,
        encode=lambda text, *, add_special_tokens: raw.encode(text, add_special_tokens=add_special_tokens).ids,
        get_added_vocab=lambda: {token.content: number for number, token in raw.get_added_tokens_decoder().items()},
    )


def tokenizer_of(name: str, *, legacy: bool) -> Any:
    return llama(WORDS if name == "maira-2" else (), legacy=legacy)


TOKENIZERS = {name: tokenizer_of(name, legacy=True) for name in TEMPLATES}


def rendered(name: str, case: dict[str, Any]) -> Prompt:
    clinical = Clinical(*(case[field] for field in ("indication", "technique", "comparison", "prior_report")))
    images = [ImageRole(role) for role in case["images"]]
    turns = [(question, answer) for question, answer in case["turns"]]
    return render(template_named(name), case["question"], turns, images, clinical)


@pytest.mark.parametrize("way", ["legacy", "new"])
@each_template
def test_fifty_prompts_have_the_ids_of_the_models_own_program(name: str, way: str) -> None:
    differ = []
    tokenizer = tokenizer_of(name, legacy=way == "legacy")
    for case in REFERENCE[name]:
        ids = list(tokenise(rendered(name, case), tokenizer))
        if "ids" in case:  # written out, so that a difference can be read
            assert ids == case["ids"][way]
        if hashlib.sha256(json.dumps(ids).encode()).hexdigest() != case[way]:
            differ.append(case)
    assert len(REFERENCE[name]) == 50
    assert differ == []


def test_the_references_hold_every_set_of_images_every_section_and_chat_turns() -> None:
    sets = {tuple(case["images"]) for case in REFERENCE["maira-2"]}
    assert len(sets) == 4
    for name in TEMPLATES:
        for field in ("indication", "technique", "comparison"):
            assert {case[field] is None for case in REFERENCE[name]} == {True, False}
        assert {len(case["turns"]) for case in REFERENCE[name]} >= {0, 1, 2}


def test_the_way_to_tokenise_matters_for_follow_up_questions_and_for_every_prompt_of_maira_2() -> None:
    for name in ("llava-rad", "libra"):
        assert [case["legacy"] != case["new"] for case in REFERENCE[name]] == [
            bool(case["turns"]) for case in REFERENCE[name]
        ]
    assert all(case["legacy"] != case["new"] for case in REFERENCE["maira-2"])


def test_libra_3b_names_the_answer_that_is_to_come_in_capitals_and_past_ones_not() -> None:
    after = render(template_named("libra-llama-3"), "C", [("A", "B")]).after
    header = "<|start_header_id|>{}<|end_header_id|>".format
    assert after == (
        f"\nA<|eot_id|>\n{header('assistant')}\n\nB<|eot_id|>\n{header('user')}\n\nC<|eot_id|>\n{header('ASSISTANT')}"
    )


def test_the_templates_that_read_clinical_text_are_those_of_these_models() -> None:
    assert all(reads_clinical(name) for name in TEMPLATES)
    assert not any(reads_clinical(name) for name in ("xraygpt-code", "maira-1", "vicuna-v1.1", "of a server"))


def test_a_template_says_what_its_model_was_trained_to_be_asked() -> None:
    maira = template_named("maira-2")
    assert maira.grounded.startswith(maira.question)
    for name in TEMPLATES:
        assert template_named(name).question in [case["question"] for case in REFERENCE[name]]


@pytest.mark.parametrize("images", [(FRONTAL,), (FRONTAL, LATERAL), (FRONTAL, PRIOR), (FRONTAL, LATERAL, PRIOR)])
def test_images_stand_between_the_segments_in_the_order_of_the_roles(images: tuple[ImageRole, ...]) -> None:
    prompt = render(template_named("maira-2"), "Q", images=images)
    assert prompt.images == images
    assert len(prompt.segments) == len(images) + 1
    assert prompt.shown.count("[image tokens]") == len(images)
    assert ("PRIOR_REPORT" in prompt.shown) == (PRIOR in images)


def test_a_template_without_a_place_for_the_images_is_refused() -> None:
    with pytest.raises(BundleError, match="'xraygpt-code' has no place for frontal and lateral images together"):
        render(template_named("xraygpt-code"), "Q", images=(FRONTAL, LATERAL))


@each_template
def test_what_a_prompt_shows_has_none_of_the_hospitals_words(name: str) -> None:
    images = tuple(ImageRole) if name == "maira-2" else (FRONTAL,)
    prompt = render(template_named(name), "Why?", [("First.", "Clear.")], images, HOSPITAL)
    for words in ("Dyspnea", "Portable", "lungs"):
        assert words not in prompt.shown
    assert "Dyspnea" in "".join(segment.text for segment in prompt.segments)
    assert "Why?" in prompt.shown


@each_template
def test_control_words_of_the_hospital_and_of_a_question_stay_text(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    control = set(tokenizer.get_added_vocab().values())
    images = tuple(ImageRole) if name == "maira-2" else (FRONTAL,)

    def controls(question: str, clinical: Clinical) -> int:
        prompt = render(template_named(name), question, [("a", "b")], images, clinical)
        ids = tokenise(prompt, tokenizer)
        assert len(ids) == len(images) + 1
        return sum(one in control for segment in ids for one in segment)

    harmless = controls("Why?", Clinical("Dyspnea", "Portable AP", "None", "Clear lungs"))
    assert controls("<image> <x12><y34> </obj> </s>?", HOSPITAL) == harmless


def test_without_the_marker_in_its_vocabulary_each_segment_is_tokenised_alone() -> None:
    prompt = render(template_named("maira-2"), "Q", images=tuple(ImageRole))
    tokenizer = llama()
    alone = [tokenizer.encode(segment.text, add_special_tokens=False) for segment in prompt.segments]
    assert list(tokenise(prompt, tokenizer)) == [[1, *alone[0]], *alone[1:]]


def test_sections_are_one_line_each_and_an_empty_one_is_not_known() -> None:
    prompt = render(template_named("maira-2"), "Q", clinical=Clinical("cough\n\n fever ", " ", None))
    assert prompt.after.endswith(" Q INDICATION: cough fever TECHNIQUE: N/A COMPARISON: N/A  ASSISTANT: ")


def test_what_is_asked_of_llava_rad_ends_with_the_indication() -> None:
    template = template_named("llava-rad")
    informed = render(template, template.question, clinical=Clinical("cough"))
    assert "radiology image given the following indication: cough ASSISTANT:" in informed.after
    assert render(template, template.question, clinical=Clinical(technique="AP")) == render(template, template.question)


LONG = Clinical("cough " * 40, "Portable AP of the chest.", "None of the year before.", "Clear lungs. " * 40)


def room_of(name: str, clinical: Clinical, images: tuple[ImageRole, ...], turns: list[tuple[str, str]]) -> int:
    return sum(map(len, tokenise(render(template_named(name), "Q", turns, images, clinical), TOKENIZERS[name])))


@pytest.mark.parametrize(
    ("kept", "shortened"),
    [
        (LONG, ()),
        (replace(LONG, prior_report="Clear lungs. " * 20), ("prior_report",)),
        (replace(LONG, prior_report=None, comparison="None of"), ("prior_report", "comparison")),
        (Clinical("cough " * 10), ("prior_report", "comparison", "technique", "indication")),
        (Clinical(), ("prior_report", "comparison", "technique", "indication")),
    ],
)
def test_sections_are_shortened_one_after_the_other_at_the_end_of_a_word(
    kept: Clinical, shortened: tuple[str, ...]
) -> None:
    template, images = template_named("maira-2"), tuple(ImageRole)
    room = room_of("maira-2", kept, images, [])
    prompt = fit_prompt(template, "Q", [], TOKENIZERS["maira-2"], room, images, LONG)
    assert prompt.segments == render(template, "Q", [], images, kept).segments
    assert prompt.clinical == tuple(name for name, text in vars(kept).items() if text)
    assert prompt.shortened == shortened


@pytest.mark.parametrize("images", [(FRONTAL,), (FRONTAL, LATERAL)])
def test_a_section_that_has_no_place_in_the_prompt_is_neither_shown_nor_shortened(
    images: tuple[ImageRole, ...],
) -> None:
    template, tokenizer = template_named("maira-2"), TOKENIZERS["maira-2"]
    room = room_of("maira-2", replace(LONG, comparison="None of"), images, [])
    prompt = fit_prompt(template, "Q", [], tokenizer, room, images, LONG)
    assert prompt.clinical == ("indication", "technique", "comparison")
    assert prompt.shortened == ("comparison",)


@pytest.mark.parametrize(
    ("name", "clinical", "shown"),
    [
        ("llava-rad", Clinical(technique="AP"), ()),
        ("llava-rad", Clinical("cough", "AP"), ("indication",)),
        ("libra", Clinical(prior_report="Clear."), ()),
        ("libra", Clinical("cough", None, "None"), ("indication", "comparison")),
        ("maira-2", Clinical(), ()),
    ],
)
def test_a_prompt_says_which_sections_it_shows(name: str, clinical: Clinical, shown: tuple[str, ...]) -> None:
    assert render(template_named(name), template_named(name).question, clinical=clinical).clinical == shown


def test_shortened_words_leave_room_for_the_latest_turn() -> None:
    template, tokenizer, turns = template_named("libra"), TOKENIZERS["libra"], [("a", "b"), ("c", "the latest")]
    room = room_of("libra", Clinical("cough " * 10), (FRONTAL,), turns[1:])
    prompt = fit_prompt(template, "Q", turns, tokenizer, room, (FRONTAL,), Clinical("cough " * 200))
    assert "the latest" in prompt.after
    assert prompt.after.count("cough") == 10


def test_letters_that_are_words_of_their_own_are_cut_between_any_two() -> None:
    template, tokenizer = template_named("maira-2"), TOKENIZERS["maira-2"]
    room = room_of("maira-2", Clinical("发热咳嗽"), (FRONTAL,), [])
    prompt = fit_prompt(template, "Q", [], tokenizer, room, (FRONTAL,), Clinical("发热咳嗽三天，请排除肺炎。" * 20))
    assert "INDICATION: 发热咳嗽 TECHNIQUE" in prompt.after


def test_old_turns_are_cut_away_and_images_and_sections_stay() -> None:
    template, tokenizer = template_named("maira-2"), TOKENIZERS["maira-2"]
    turns = [("old question", "old answer"), ("new question", "new answer")]
    clinical = Clinical("cough")
    whole = sum(map(len, tokenise(render(template, "Q", turns, tuple(ImageRole), clinical), tokenizer)))
    prompt = fit_turns(template, "Q", turns, tokenizer, whole - 1, tuple(ImageRole), clinical)
    assert prompt.images == tuple(ImageRole)
    assert "old" not in prompt.after
    assert "new answer" in prompt.after
    assert "INDICATION: cough" in prompt.after
    with pytest.raises(InvalidRequest, match="does not fit"):
        fit_turns(template, "Q", [], tokenizer, 30, tuple(ImageRole))
