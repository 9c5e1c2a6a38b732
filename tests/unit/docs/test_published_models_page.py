"""The page on published models says what the catalogue says."""

from pathlib import Path

import pytest

from xraygpt_core.model.catalogue.entries import Entry, read_catalogue
from xraygpt_core.model.catalogue.memory import gigabytes
from xraygpt_core.model.catalogue.serving import start_command

PAGE = Path(__file__).parents[3] / "docs" / "published-models.md"


def row_of(name: str) -> list[str]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    (line,) = lines
    return [cell.strip() for cell in line.strip("|").split("|")]


def minutes(entry: Entry) -> str:
    return ", ".join(f"{max(1, round(entry.size * 8 / rate / 60))} min" for rate in (1e9, 1e8))


@pytest.mark.parametrize("entry", read_catalogue().values(), ids=lambda entry: entry.name)
def test_a_row_has_size_time_memory_gate_and_licence(entry: Entry) -> None:
    _, _, download, time, memory, gated, licence = row_of(entry.name)
    assert download.endswith(gigabytes(entry.size))
    assert time == minutes(entry)
    assert memory == gigabytes(entry.memory.total)
    assert gated == ("yes" if entry.gated else "no")
    assert licence == "; ".join(one.name for one in entry.licences)


def test_the_command_that_starts_a_server_is_the_one_that_is_printed() -> None:
    assert f"    {start_command(read_catalogue()['chexone'])}\n" in PAGE.read_text()
