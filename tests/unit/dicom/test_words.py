"""Body parts in the words of several countries."""

import pytest

from xraygpt_core.dicom.words import Part, described_part, stated_part


@pytest.mark.parametrize(
    "text",
    [
        "CHEST", "Chest 2 views", "portable chest x-ray", "Thorax p.a.", "Rx Tórax", "torace 2P", "Poumons",
        "RTG klatki, płuca", "Органы грудной клетки: ОГК", "胸部正位", "흉부", "CXR",
        "chest and abdomen", "thorax face", "LUNGS",
    ],
)  # fmt: skip
def test_a_text_names_the_chest(text):
    assert described_part(text) is Part.CHEST


@pytest.mark.parametrize(
    "text",
    [
        "Knee AP/LAT", "HÜFTE links", "Hüftgelenk", "Épaule droite", "mano izquierda", "Ombro", "ginocchio dx",
        "Bekken", "Schädel", "thoracic spine", "BWS", "rachis lombaire", "abdomen", "KUB", "手 足", "колено",
        "foot 3 views", "Fuß re.",
    ],
)  # fmt: skip
def test_a_text_names_another_part(text):
    assert described_part(text) is Part.OTHER


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
    assert described_part(text) is Part.NOT_SAID


@pytest.mark.parametrize("term", ["CHEST", "THORAX", "LUNG", "CHESTABDPELVIS", "NECKCHEST", "Chest_PA", "TORAX"])
def test_a_stated_term_is_the_chest(term):
    assert stated_part(term) is Part.CHEST


@pytest.mark.parametrize("term", ["", "UNKNOWN", "OTHER", "None", "--"])
def test_a_stated_term_that_states_nothing(term):
    assert stated_part(term) is Part.NOT_SAID


@pytest.mark.parametrize("term", ["HIP", "TSPINE", "CSPINE", "SHOULDER", "FRUIT"])
def test_any_other_stated_term_is_another_part(term):
    assert stated_part(term) is Part.OTHER
