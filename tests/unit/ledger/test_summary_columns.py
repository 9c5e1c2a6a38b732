"""A column of the summary is added in four places: schema, dataclasses, the worker that fills it, and the answer."""

from dataclasses import fields

from api_gateway.reviews import SummaryAnswer
from xraygpt_core.ledger.studies import read, summarise
from xraygpt_core.ledger.studies.summaries import NewSummary, Summary
from xraygpt_core.models import metadata

COLUMNS = set(metadata.tables["summaries"].columns.keys())
WRITTEN = {field.name for field in fields(NewSummary)}
READ = {field.name for field in fields(Summary)}


def test_each_field_of_a_new_summary_is_a_column_and_is_written() -> None:
    assert WRITTEN <= COLUMNS
    assert set(summarise._COLUMNS.split(", ")) >= WRITTEN


def test_each_field_of_a_summary_is_a_column_and_is_read() -> None:
    assert READ - {"summary_id", "notice"} <= COLUMNS
    assert all(name in read._SUMMARY for name in READ - {"notice"})


def test_the_answer_shows_each_field_of_a_summary_and_its_scope() -> None:
    assert set(SummaryAnswer.model_fields) == READ | {"scope", "image_id"}
