"""MAIRA-2's places: boxes on the film, and gone from the text; what is malformed is counted and is no error."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.model.grounding import NO_PLACES, Phrase, png_size, read_grounding, without_places

EFFUSION = "<obj> Small left effusion. <box><x55><y70><x80><y95></box></obj>"
NORMAL = "<obj>The heart is normal.</obj>"


def test_phrases_and_their_boxes_are_read_and_the_text_has_none_of_it() -> None:
    text, found = read_grounding(EFFUSION + NORMAL, 1000, 1000)
    assert text == "Small left effusion. The heart is normal."
    assert found.phrases == (
        Phrase("Small left effusion.", ((0.555, 0.705, 0.805, 0.955),)),
        Phrase("The heart is normal.", ()),
    )
    assert found.malformed == 0


def test_a_phrase_may_have_several_boxes() -> None:
    _, found = read_grounding("<obj>Edema. <box><x0><y0><x9><y9></box><box><x50><y0><x99><y99></box></obj>", 10, 10)
    assert found.phrases[0].boxes == ((0.005, 0.005, 0.095, 0.095), (0.505, 0.005, 0.995, 0.995))


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (2000, 1000, (0.5275, 0.705, 0.6525, 0.955)),  # the middle half of the width
        (1000, 2000, (0.555, 0.6025, 0.805, 0.7275)),
    ],
)
def test_boxes_of_the_square_in_the_middle_are_places_on_the_whole_film(
    width: int, height: int, box: tuple[float, ...]
) -> None:
    assert read_grounding(EFFUSION, width, height)[1].phrases[0].boxes == (box,)


@pytest.mark.parametrize(
    "box",
    [
        "<x1><y2><x3>",
        "<y1><x2><y3><x4>",
        "<x80><y10><x20><y30>",
        "<x1><y2><x3><y400>",
        "",
        "<x1><y2><x><y4>",
    ],
)
def test_a_malformed_box_is_counted_and_its_phrase_stays(box: str) -> None:
    text, found = read_grounding(f"<obj>Nodule. <box>{box}</box></obj> {NORMAL}", 100, 100)
    assert text == "Nodule. The heart is normal."
    assert found.phrases[0] == Phrase("Nodule.", ())
    assert found.documents()[-1] == {"malformed": 1}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Cardiomegaly. <box> Large right pneumothorax.", "Cardiomegaly. Large right pneumothorax."),
        ("Cardiomegaly. <box><x1><y2><x3><y4> Large right pneumothorax.", "Cardiomegaly. Large right pneumothorax."),
        ("Normal. <box>Large pneumothorax.</box> No effusion.", "Normal. Large pneumothorax. No effusion."),
        ("Normal.<box>Large pneumothorax.</box>No effusion.", "Normal. Large pneumothorax. No effusion."),
        ("<obj>A mass <box><x1><y2> and a nodule</obj> of 3 cm", "A mass and a nodule of 3 cm"),
        ("A mass <box>3 cm wide</box>", "A mass 3 cm wide"),
        ("A nodule <box>(120,340),(180,400)</box> above.", "A nodule above."),
        ("A nodule <box>[0.1, 0.2, 0.3, 0.4]</box> above.", "A nodule above."),
    ],
)
def test_only_coordinates_go_with_their_box_and_every_word_stays(written: str, text: str) -> None:
    assert without_places(written) == text
    assert read_grounding(written, 100, 100)[0] == text


def test_a_box_of_words_is_counted_and_its_words_stay() -> None:
    text, found = read_grounding("<obj>Nodule <box>somewhere</box></obj>", 100, 100)
    assert (text, found.phrases, found.malformed) == ("Nodule somewhere", (Phrase("Nodule somewhere", ()),), 1)


def test_a_text_that_ends_in_the_middle_of_a_box_is_read_as_far_as_it_goes() -> None:
    text, found = read_grounding(f"{NORMAL}<obj>Nodule. <box><x1><y2", 100, 100)
    assert (text, [one.text for one in found.phrases], found.malformed) == (
        "The heart is normal. Nodule.",
        ["The heart is normal.", "Nodule."],
        1,
    )


def test_plain_text_stays_as_it_is() -> None:
    text = "Heart  size < 50 % of the <thorax>."
    assert read_grounding(text, 10, 10) == (text, NO_PLACES)
    assert without_places(text) == text
    assert NO_PLACES.documents() == []


def test_what_is_kept_are_phrases_and_lists_of_numbers() -> None:
    assert read_grounding(EFFUSION, 10, 10)[1].documents() == [
        {"phrase": "Small left effusion.", "image": "frontal", "boxes": [[0.555, 0.705, 0.805, 0.955]]}
    ]


_PIECES = ["<obj>", "</obj>", "<box>", "</box>", "<x1>", "<y99>", "<x", "<y100>", "Nodule. ", " ", "é", "<", "\n"]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_nothing_that_a_model_writes_is_an_error_or_leaves_a_word_of_places(written: str) -> None:
    text, found = read_grounding(written, 640, 480)
    for word in ("<obj>", "</obj>", "<box>", "</box>", "<x1>", "<y99>"):
        assert word not in text
    for phrase in found.phrases:
        for left, top, right, bottom in phrase.boxes:
            assert 0 <= left <= right <= 1
            assert 0 <= top <= bottom <= 1


_WORDS = [
    "Large ",
    "mass",
    "3 cm ",
    "é",
    "(1,2),(3,4)",
    "[1, 2, 3, 4]",
    "<obj>",
    "</obj>",
    "<box>",
    "</box>",
    "<x1>",
    "\n",
]


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map("".join))
def test_no_letter_outside_of_tags_and_coordinates_is_ever_lost(written: str) -> None:
    def letters(text: str) -> str:
        return "".join(filter(str.isalpha, text))

    said = letters(re.sub(r"</?(?:obj|box)>|<x1>", "", written))
    assert letters(without_places(written)) == said
    assert letters(read_grounding(written, 640, 480)[0]) == said


def test_the_size_of_a_picture_is_in_its_header(noise_png: object) -> None:
    assert png_size(noise_png(1)) == (96, 80)  # type: ignore[operator]
