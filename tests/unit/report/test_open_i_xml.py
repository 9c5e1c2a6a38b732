"""Open-i's XML: what it says, and what is no report."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.report.open_i_xml import NoReport, OpenIReport, open_i_report

REPORT = b"""<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR3"/><AbstractText Label="FINDINGS">The lungs
 are <i>clear</i>.</AbstractText><AbstractText Label="Impression">Normal.</AbstractText>
<AbstractText Label="IMPRESSION">No change.</AbstractText><parentImage id="CXR3_IM-1384-1001"/>
<MeSH><major>Nodule/lung/base/ left</major><automatic>nodules</automatic></MeSH></eCitation>"""


def test_sections_are_folded_and_joined_whatever_the_case_of_their_labels() -> None:
    assert open_i_report(REPORT) == OpenIReport(
        "CXR3", "The lungs are clear.", "Normal. No change.", "", ("CXR3_IM-1384-1001",), ("Nodule/lung/base/ left",)
    )


def test_what_is_cut_says_in_which_line() -> None:
    with pytest.raises(NoReport, match="no whole XML") as raised:
        open_i_report(REPORT[:150])
    assert raised.value.line == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
def test_a_declaration_is_found_in_every_encoding(encoding: str) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>'
    with pytest.raises(NoReport) as raised:
        open_i_report(text.encode(encoding))
    assert raised.value.declares


def test_wide_letters_are_no_report() -> None:
    with pytest.raises(NoReport, match="neither UTF-8 nor Latin-1"):
        open_i_report("<a/>".encode("utf-16"))


def test_the_reason_quotes_nothing_of_the_file() -> None:
    with pytest.raises(NoReport) as raised:
        open_i_report(b"<a>Smith, John</b>")
    assert "Smith" not in str(raised.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_none(data: bytes) -> None:
    for one in (data, b"<?xml version='1.0'?>" + data, REPORT[: len(data)] + data):
        with suppress(NoReport):
            open_i_report(one)
