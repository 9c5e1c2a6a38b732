"""docs/security.md says something about everything it must say something about."""

import json
import re
from pathlib import Path

import pytest

from xraygpt_core.models import metadata
from xraygpt_core.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text()
# Columns that hold what people typed or how the hospital named its objects.
TELLING = {
    "object_keys": {"bucket", "key"},
    "backlogs": {"bucket", "prefix", "start_after"},
    "chat_turns": {"question"},
    "summaries": {"edited_summary", "reviewed_by"},
    "reviews": {"text", "reason", "reviewer"},
    "training_texts": {"pair"},
    "sealed_numbers": {"sealed"},
    "request_words": {"box"},
}


def rows(heading: str) -> dict[str, str]:
    """First and last cell of each row of the table with this first heading."""
    table = PAGE.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: row[-1] for row in cells}


def test_every_table_is_classified() -> None:
    assert set(rows("table")) == {table.name for table in metadata.sorted_tables}


def test_the_tables_that_may_name_a_patient_are_marked() -> None:
    assert {name for name, holds in rows("table").items() if "**" in holds} == set(TELLING)


@pytest.mark.parametrize("table", TELLING)
def test_the_columns_that_may_name_a_patient_are_still_there(table: str) -> None:
    assert TELLING[table] <= {column.name for column in metadata.tables[table].columns}


def test_no_other_table_has_a_column_for_a_key_or_a_text_of_people() -> None:
    suspicious = {
        "question",
        "prefix",
        "start_after",
        "reviewed_by",
        "edited_summary",
        "reviewer",
        "filename",
        "comment",
    }
    for table in metadata.sorted_tables:
        assert not (suspicious & {column.name for column in table.columns}) - TELLING.get(table.name, set()), table.name


def test_every_setting_the_page_names_exists() -> None:
    named = {name.removeprefix("XRAYGPT_").lower() for name in re.findall(r"XRAYGPT_[A-Z0-9_]+", PAGE)}
    assert named <= set(Settings.model_fields)


def test_every_file_the_page_names_exists() -> None:
    named = [
        name for name in re.findall(r"`([\w./-]+\.(?:py|sh|yml|md))`", PAGE) if "/" in name or name.endswith("yml")
    ]
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name


def test_the_key_is_to_be_backed_up_apart_from_the_database() -> None:
    assert "apart from the database's back-up" in next(key for key in rows("what") if "key" in key)


FINDINGS = ["C1", *(f"H{n}" for n in range(1, 7)), *(f"M{n}" for n in range(1, 9)), *(f"L{n}" for n in range(1, 13))]
MODULES = {
    "/".join(path.with_suffix("").parts[-parts:]) for path in (ROOT / "tests").rglob("test_*.py") for parts in (1, 2)
}
NAMED = re.compile(r"`((?:\w+/)?test_\w+)`")


def test_every_finding_of_the_attack_has_its_row() -> None:
    assert list(rows("finding")) == FINDINGS


@pytest.mark.parametrize("heading", ["finding", "who"])
def test_what_stands_against_a_threat_is_proved_by_tests(heading: str) -> None:
    """The last cell of each row names modules of tests that are there."""
    table = re.findall(rf"\n\| {heading} \|(?:.*\|)? proved by \|\n(?:.*\n)*?\n", PAGE)
    assert table
    for line in table[0].strip().splitlines()[2:]:
        proofs = NAMED.findall(line.rsplit("|", 2)[1])
        assert proofs or "until you switch it on" in line, line
        assert set(proofs) <= MODULES, set(proofs) - MODULES


def test_every_test_the_page_names_is_there() -> None:
    assert set(NAMED.findall(PAGE)) <= MODULES


def test_what_each_process_may_do_in_the_buckets_is_what_the_page_says() -> None:
    verbs = {"GetObject": "read", "ListBucket": "list", "PutObject": "write", "DeleteObject": "delete"}
    told = {
        cells[0]: tuple(cells[3:5])
        for cells in (re.split(r" *\| *", line.strip("| \n")) for line in PAGE.splitlines())
        if len(cells) == 6
    }
    for policy in json.loads((ROOT / "deploy" / "s3-identities.json").read_text())["policies"]:
        may: dict[str, set[str]] = {"SOURCE": set(), "DERIVED": set()}
        for rule in json.loads(policy["content"])["Statement"]:
            if "Condition" in rule:  # whether the bucket is there: everybody may ask
                continue
            for place in rule["Resource"]:
                may["SOURCE" if "SOURCE" in place else "DERIVED"] |= {one.removeprefix("s3:") for one in rule["Action"]}
        said = (", ".join(word for verb, word in verbs.items() if verb in may[bucket]) or "none" for bucket in may)
        assert tuple(cell.replace(" `uploads/`", "") for cell in told[policy["name"]]) == tuple(said), policy["name"]
