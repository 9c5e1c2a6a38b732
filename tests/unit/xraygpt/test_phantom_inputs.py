from pathlib import Path

import pytest

from xraygpt.phantom_inputs import film, write_inputs
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected

LIMITS = Limits(max_pixels=10**7, decode_seconds=30, decode_memory_bytes=2**30)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [Path(path) for path in write_inputs(tmp_path_factory.mktemp("inputs"))]


def test_most_inputs_are_films_and_the_others_are_rejected_each_for_its_reason(inputs: list[Path]) -> None:
    reasons = {}
    for path in inputs:
        try:
            assert normalise(path.read_bytes(), LIMITS).view in ("PA", "AP")
        except Rejected as rejected:
            reasons[path.name] = str(rejected.reason)
    assert len(inputs) == 24
    assert reasons == {
        "hand.dcm": "wrong_body_part",
        "scan.dcm": "wrong_modality",
        "cut-off.dcm": "truncated",
        "letter.txt": "not_dicom_or_image",
    }


def test_films_are_the_same_every_time_and_differ_from_each_other(inputs: list[Path]) -> None:
    assert film(20_000) == inputs[0].read_bytes()
    assert len({path.read_bytes() for path in inputs}) == len(inputs)


def test_files_that_are_there_are_kept(inputs: list[Path]) -> None:
    before = [path.stat().st_mtime_ns for path in inputs]
    write_inputs(inputs[0].parent)
    assert [path.stat().st_mtime_ns for path in inputs] == before
