"""Files of texts beside their references."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.evaluation.texts import TextPair, parse_text_pairs, read_text_pairs
from xraygpt_core.errors import TrainingError

JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5), lambda one: st.dictionaries(st.text(max_size=5), one, max_size=3)
)


def test_lines_of_ours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(
        '{"id": "1", "candidate": "a", "reference": "b"}\n\n{"id": "2", "candidate": "", "reference": "c"}\n'
    )
    assert read_text_pairs(file) == [TextPair("1", "a", "b"), TextPair("2", "", "c")]


def test_a_leaderboard_file_gives_the_reference_of_its_sections(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    studies = {
        "s1": {"model_prediction": "x", "section_findings": "Clear. ", "section_impression": "Normal."},
        "s2": {"model_prediction": "y", "section_findings": None, "section_impression": "Normal."},
    }
    file.write_text(json.dumps(studies))
    assert [pair.reference for pair in read_text_pairs(file)] == [
        "Findings: Clear. Impression: Normal.",
        "Impression: Normal.",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no text"),
        ("{broken secret", "no JSON: JSONDecodeError"),
        ('{"id": "1", "candidate": "a"}', "line 1 has no reference"),
        ('{"id": "1", "candidate": "a", "reference": "b"}\n' * 2, "an id twice"),
    ],
)
def test_what_is_wrong_is_said_without_a_word_of_a_text(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(text)
    with pytest.raises(TrainingError, match=why) as error:
        read_text_pairs(file)
    assert "secret" not in str(error.value)


@settings(max_examples=50)
@given(st.text(max_size=40) | JSON.map(json.dumps), st.booleans())
def test_any_text_is_read_or_refused(text: str, studies: bool) -> None:
    with suppress(TrainingError):
        assert parse_text_pairs(text, studies=studies)
