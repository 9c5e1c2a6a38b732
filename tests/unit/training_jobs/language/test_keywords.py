"""Keyword lists: whole words, whatever the case, and a space that may be a hyphen."""

import pytest

from training_jobs.language.keywords import keyword_list, list_names
from xraygpt_core.errors import TrainingError


def test_the_lists_have_names() -> None:
    assert list_names() == ["chest-imaging", "radiology"]


def test_an_unknown_list_names_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="there are chest-imaging, radiology"):
        keyword_list("../radiology")


@pytest.mark.parametrize("text", ["an X-ray", "X ray.", "the xrays", "CT-scan", "Had an MRI?", "ultrasound", "x\nray"])
def test_radiology_is_found_however_it_is_written(text: str) -> None:
    assert keyword_list("radiology").meets(text)


@pytest.mark.parametrize("text", ["my doctor", "contact", "direct", "permit", "petscanner", "the act", ""])
def test_parts_of_words_are_not_found(text: str) -> None:
    assert not keyword_list("radiology").meets(text)


def test_the_chest_list_leaves_other_images_out() -> None:
    chest = keyword_list("chest-imaging")
    assert chest.meets("my chest x-ray shows pleural effusion")
    assert not chest.meets("an MRI of the knee")


def test_a_list_has_a_hash_of_its_words() -> None:
    assert keyword_list("radiology").sha256 == keyword_list("radiology").sha256 != keyword_list("chest-imaging").sha256
