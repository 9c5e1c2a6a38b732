"""Body parts in the words of several countries."""

import pytest

from xraygpt_core.dicom.words import BodyPart, described_part, stated_part


@pytest.mark.parametrize(
    "text",
    [
        "CHEST", "Chest 2 views", "portable chest x-ray", "Thorax p.a.", "Rx Tórax", "torace 2P", "Poumons",
        "RTG klatki, płuca", "Органы грудной клетки: ОГК", "胸部正位", "흉부", "CXR",
        "chest and abdomen", "thorax face", "LUNGS", "ThoraxPA", "CHEST_LAT",
    ],
)  # fmt: skip
def test_a_text_names_the_chest(text):
    assert described_part(text) is BodyPart.CHEST


@pytest.mark.parametrize(
    "text",
    [
        "Knee AP/LAT", "HÜFTE links", "Hüftgelenk", "Épaule droite", "mano izquierda", "Ombro", "ginocchio dx",
        "Bekken", "Schädel", "thoracic spine", "BWS", "rachis lombaire", "abdomen", "KUB", "手 足", "колено",
        "foot 3 views", "Fuß re.", "胸椎正側位", "KneeLat",
    ],
)  # fmt: skip
def test_a_text_names_another_part(text):
    assert described_part(text) is BodyPart.OTHER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PA",
        "Portable",
        "de pie",
        "face",
        "R/O PE",
        "bone suppression",
        "C-arm",
        "long view",
        "Bett",
        "123",
        "been here",
    ],
)
def test_a_text_names_nothing(text):
    assert described_part(text) is BodyPart.NOT_STATED


@pytest.mark.parametrize(
    "term",
    ["CHEST", "THORAX", "LUNG", "CHESTABDPELVIS", "NECKCHEST", "Chest_PA", "TORAX", "PORTCHEST", "ThoraxPA", "Lunge"],
)
def test_a_stated_term_is_the_chest(term):
    assert stated_part(term) is BodyPart.CHEST


@pytest.mark.parametrize(
    "term", ["", "UNKNOWN", "OTHER", "None", "--", "FRUIT", "TORSO", "WALLSTAND", "BED 12", "PORTABLE", "HEART", "PA"]
)
def test_a_stated_term_that_is_in_no_vocabulary_states_nothing(term):
    assert stated_part(term) is BodyPart.NOT_STATED


@pytest.mark.parametrize(
    "term",
    """
    HIP TSPINE CSPINE LSSPINE SHOULDER RIB STERNUM EXTREMITY FACE IAC TIBIAFIBULA ABDOMENPELVIS SSPINE PHANTOM
    LHIP HIPLT LT_KNEE KneeLeft HIPJOINT UPPERLEG THORACOLUMBAR LUMBOSACRALSPINE THORACICSPINE Halswirbelsäule
    """.split(),  # noqa: SIM905
)
def test_a_stated_term_that_is_known_is_another_part(term):
    assert stated_part(term) is BodyPart.OTHER


def test_a_word_of_any_length_is_read_at_once():
    assert stated_part("EXTR" * 2000) is described_part("KNEE" * 10**6) is BodyPart.NOT_STATED
