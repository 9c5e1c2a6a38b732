"""docs/sql.md against a migrated database: the columns it describes are there, and its queries answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.states import Lane

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sql.md").read_text()
VIEWS = re.findall(r"^## (\w+)$", DOCUMENT, re.MULTILINE)
# The others have a test of their own, with their answers: test_sql_questions.py.
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT.partition("\n## Twenty questions")[0], re.DOTALL)
PASSWORD = "sesame"

# The study that the document's example asks for has a sister of the same patient; everything else once.
EXAMPLE = "0197c1d2-0000-7000-8000-000000000001"
OTHER = "0197c1d2-0000-7000-8000-000000000002"
IMAGE, SUMMARY, JOB, RUN, BACKLOG, TURN = (f"0197c1d2-0000-7000-8000-0000000001{number:02}" for number in range(6))

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        ("studies", {"id": study, "lane_rank": 1, "state": "summarised", "patient_pseudonym": "ab" * 32, "view": "PA"})
        for study in (EXAMPLE, OTHER)
    ),
    *(
        (
            "summaries",
            {
                "id": summary,
                "study_id": study,
                "image_id": IMAGE,
                "revision": 1,
                "job_id": summary,
                "lease_epoch": 1,
                "bundle": "demo",
                "bundle_sha256": "cd" * 32,
                "summary": text,
                "provenance": "{}",
                "tokens": 9,
                "batch_size": 1,
                "review_state": "rejected",
                "flags": flags,
            },
        )
        for summary, study, text, flags in (
            (SUMMARY, EXAMPLE, "The heart is not enlarged. Large left pleural effusion.", []),
            (IMAGE, OTHER, "No pneumothorax or pleural effusion. The lungs are clear.", ["out_of_scope"]),
        )
    ),
    (
        "reviews",
        {
            "id": JOB,
            "summary_id": SUMMARY,
            "position": 1,
            "action": "edited",
            "text": "Small left pleural effusion.",
            "reviewer": "Dr. R",
        },
    ),
    ("images", {"id": IMAGE, "study_id": EXAMPLE, "state": "accepted"}),
    ("backlogs", {"id": BACKLOG, "bucket": "b", "prefix": "p", "lane_rank": 2, "state": "listed", "listed": 1}),
    ("backlog_images", {"backlog_id": BACKLOG, "image_id": IMAGE}),
    (
        "chat_turns",
        {
            "id": TURN,
            "study_id": EXAMPLE,
            "summary_id": SUMMARY,
            "position": 1,
            "state": "done",
            "question": "Which side?",
            "answer": "Left.",
        },
    ),
    (
        "jobs",
        {
            "id": JOB,
            "kind": "summarise",
            "subject": OTHER,
            "key": "k",
            "lane_rank": 0,
            "state": "dead",
            "max_attempts": 5,
            "last_error": "BundleError: the model wrote nothing about this image",
        },
    ),
    (
        "comparisons",
        {
            "id": RUN,
            "first_bundle": "demo",
            "first_sha256": "cd" * 32,
            "second_bundle": "next",
            "second_sha256": "ef" * 32,
            "chosen": "{}",
            "asked": "ab" * 32,
            "begun_by": "Dr. R",
        },
    ),
    *(
        (
            "shadow_drafts",
            {
                "comparison_id": RUN,
                "study_id": EXAMPLE,
                "bundle_sha256": digits * 32,
                "bundle": bundle,
                "image_id": IMAGE,
                "image_sha256": "ab" * 32,
                "state": "written",
                "text": text,
                "asserted": asserted,
            },
        )
        for digits, bundle, text, asserted in (
            ("cd", "demo", "Left pleural effusion.", ["effusion"]),
            ("ef", "next", "The lungs are clear.", []),
        )
    ),
    ("work_rollup", {"bucket": "now", "kind": "ingest", "lane_rank": 0, "done": 1}),
    ("worker_rollup", {"bucket": "now", "worker": "gpu-1@host", "kind": "summarise", "jobs": 1, "busy_seconds": 2.0}),
    ("workers", {"name": "gpu-1@host", "kind": "gpu", "slots": 4, "busy": 1}),
    ("backlog_rollup", {"bucket": "now", "backlog_id": BACKLOG}),
    ("training_runs", {"id": RUN, "stage": "stage1", "config": "{}", "base_bundle": "demo", "state": "done"}),
    *(
        ("training_points", {"run_id": RUN, "lease_epoch": epoch, "step": step, "loss": loss})
        for epoch, step, loss in ((1, 10, 2.5), (1, 20, 2.25), (2, 20, 2.0))
    ),
)


@pytest.fixture
def reader(postgres: Postgres, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The analysts' own session on a database that holds a little of everything."""
    with psycopg.connect(database_url) as owner:
        for table, values in ROWS:
            names = sql.SQL(", ").join(map(sql.Identifier, values))
            given = sql.SQL(", ").join(map(sql.Placeholder, values))
            owner.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, given), values
            )
        owner.execute(sql.SQL("ALTER ROLE xraygpt_reader LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    target = psycopg.conninfo.make_conninfo("", **{**where, "user": "xraygpt_reader", "password": PASSWORD})
    with psycopg.connect(target, autocommit=True, options="-c default_transaction_read_only=on") as connection:
        yield connection
    with psycopg.connect(postgres.url) as owner:
        owner.execute("ALTER ROLE xraygpt_reader NOLOGIN PASSWORD NULL")  # roles belong to all databases


def described(view: str) -> list[tuple[str, str]]:
    """(column, type) of each row of the table below a view's heading."""
    section = DOCUMENT.partition(f"\n## {view}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (\w+) \| ((?!type)[\w \[\]]+) \|", section, re.MULTILINE)


@pytest.mark.parametrize("view", VIEWS)
def test_columns_and_types_are_as_described(reader: psycopg.Connection[Any], view: str) -> None:
    found = reader.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = CAST(%s AS regclass) AND attnum > 0 ORDER BY attnum",
        [view],
    ).fetchall()
    assert found == described(view)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: re.findall(r"FROM (\w+)", query)[-1])
def test_a_worked_query_runs_as_the_reader_and_shows_something(reader: psycopg.Connection[Any], query: str) -> None:
    assert reader.execute(query.encode()).fetchall()


def query_about(words: str) -> bytes:
    """The worked query below the sentence that holds these words."""
    return re.findall(r"```sql\n(.*?)```", DOCUMENT.partition(words)[2], re.DOTALL)[0].encode()


def test_the_search_for_a_finding_leaves_denials_out(reader: psycopg.Connection[Any]) -> None:
    found = reader.execute(query_about("Which summaries speak of an effusion")).fetchall()
    assert [str(row[0]) for row in found] == [EXAMPLE]


def test_the_patients_other_study_is_found(reader: psycopg.Connection[Any]) -> None:
    found = reader.execute(query_about("Every summary of one patient")).fetchall()
    assert {str(row[0]) for row in found} == {EXAMPLE, OTHER}


def test_a_step_that_was_done_twice_is_shown_once(reader: psycopg.Connection[Any]) -> None:
    found = reader.execute(query_about("The loss of the newest training run")).fetchall()
    assert [(row[0], row[1]) for row in found] == [(10, 2.5), (20, 2.0)]


def test_a_backlogs_numbers_add_up(reader: psycopg.Connection[Any]) -> None:
    found = reader.execute(
        "SELECT registered, summarised + rejected + dead + cancelled + open FROM backlog_progress"
    ).fetchall()
    assert found == [(1, 1)]


def test_the_reader_sees_no_table(reader: psycopg.Connection[Any]) -> None:
    tables = reader.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace = 'public'::regnamespace "
        "AND has_table_privilege(oid, 'SELECT') ORDER BY relname"
    ).fetchall()
    assert [name for (name,) in tables] == sorted(VIEWS)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM summaries", "UPDATE studies SET view = 'AP'", "CREATE TABLE mine ()"]
)
def test_the_reader_can_write_nothing(reader: psycopg.Connection[Any], statement: str) -> None:
    reader.execute("SET default_transaction_read_only = off")  # anybody may: it is the role that holds
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement.encode())


def test_the_views_call_the_lanes_what_the_code_calls_them(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        views = owner.execute("SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'").fetchall()
    named = {
        name: re.findall(r"'(\w+)'::text", found[1])
        for name, text in views
        if (found := re.search(r"\(?ARRAY\[([^\]]*)\]\)?\)?\[\(+(?:\w+\.)?lane_rank", text))
    }
    assert set(named) == {
        "study_summaries",
        "all_studies",
        "turnaround",
        "backlog_progress",
        "dead_jobs",
        "work_history",
    }
    assert all(lanes == list(Lane) for lanes in named.values())
