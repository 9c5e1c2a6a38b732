"""What analysts see: sixteen views, these columns, and nothing else, whatever they try."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support.ledger_tools import whole_study
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.models import metadata

VIEWS = {
    "study_summaries": [
        "study_id", "patient_pseudonym", "accession_pseudonym", "view", "lane", "state", "findings", "impression",
        "summary", "bundle", "bundle_sha256", "lease_epoch", "received_at", "summarised_at", "review_state",
        "flags", "out_of_scope", "scope", "consistency", "grounding", "reasoning",
    ],
    "summary_reviews": [
        "review_id", "study_id", "summary_id", "position", "action", "text", "draft", "reason", "reviewer", "key_id",
        "key_name", "key_kind", "seen", "at", "superseded_at", "out_of_scope",
        "scope",
    ],
    "backlog_progress": [
        "backlog_id", "state", "lane", "listed", "registered", "summarised", "rejected", "dead", "cancelled", "open",
        "created_at", "listed_at", "finished_at",
    ],
    "chat_transcripts": [
        "turn_id", "study_id", "summary_id", "position", "question", "answer", "state", "bundle", "bundle_sha256",
        "asked_at", "answered_at", "flags", "out_of_scope", "scope", "consistency",
        "answered_by", "reasoning",
    ],
    "dead_jobs": [
        "job_id", "kind", "subject", "lane", "attempts", "lease_epoch", "last_error", "created_at", "died_at",
    ],
    "training_progress": [
        "run_id", "stage", "state", "parent_run", "base_bundle", "lease_epoch", "step", "steps", "loss",
        "samples_per_s", "checkpoint_step", "bundle", "at", "held_out", "swapped", "failure", "failure_says",
        "waits_for",
    ],
    "all_studies": [
        "study_id", "patient_pseudonym", "accession_pseudonym", "lane", "state", "reason_code", "flags", "modality",
        "view", "views", "laterality", "images", "acquired_year", "acquired_on", "summary_id", "review_state",
        "asserted", "uncertain", "received_at", "finished_at",
    ],
    "study_facts": [
        "study_id", "image_id", "view", "modality", "laterality", "rows", "columns", "row_spacing_mm",
        "column_spacing_mm", "spacing_at", "flags", "acquired_year", "acquired_on", "summary_id", "bundle",
        "bundle_sha256", "device", "tokens", "batch_size", "waited_seconds", "generate_seconds",
    ],
    "readings": [
        "reading_id", "study_id", "summary_id", "kind", "text", "reviewer", "reason", "bundle", "bundle_sha256", "at",
        "superseded_at", "stands", "out_of_scope",
    ],
    "findings": [
        "study_id", "source", "reading_id", "summary_id", "finding", "side", "zone", "status", "words", "words_from",
        "words_to", "labeller", "stands", "out_of_scope",
    ],
    "turnaround": [
        "study_id", "lane", "received_at", "drafted_at", "signed_at", "reviewer", "seconds_to_draft",
        "seconds_to_signature",
    ],
    "work_history": [
        "at", "kind", "lane", "arrived", "done", "dead", "cancelled", "retried", "waited_seconds", "waited_max",
        "ran_seconds", "ran_max", "tokens", "waiting_max", "oldest_seconds",
    ],
    "backlog_history": [
        "backlog_id", "at", "listed", "registered", "summarised", "rejected", "dead", "cancelled", "open",
    ],
    "workers_now": [
        "worker", "worker_kind", "slots", "busy", "tokens_per_s", "bundle", "started_at", "seen_at",
    ],
    "shadow_readings": [
        "comparison_id", "study_id", "image_id", "bundle", "bundle_sha256", "state", "reason", "text", "findings",
        "impression", "asserted", "uncertain", "contradictions", "tokens", "seconds", "device", "at", "begun_at",
    ],
    "workers_hourly": [
        "hour", "worker", "worker_kind", "job_kind", "jobs", "busy_seconds", "tokens", "bundle",
    ],
}  # fmt: skip


@pytest.fixture
def reader(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection with the rights of the analysts' role, taken back afterwards."""
    with psycopg.connect(database_url) as connection:
        connection.execute("GRANT xraygpt_reader TO CURRENT_USER WITH SET TRUE, INHERIT FALSE")
        connection.execute("SET ROLE xraygpt_reader")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_exactly_its_documented_columns_and_the_reader_may_select_it(
    reader: psycopg.Connection, view: str
) -> None:
    cursor = reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(view)))
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == VIEWS[view]


def test_there_are_no_other_views(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT viewname FROM pg_views WHERE schemaname = 'public'").fetchall()
    assert {name for (name,) in found} == set(VIEWS)


@pytest.mark.parametrize("table", [*sorted(metadata.tables), "alembic_version"])
def test_the_reader_may_not_select_a_table(reader: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE dead_jobs SET last_error = 'x'",
        "DELETE FROM chat_transcripts",
        "CREATE TABLE mine (x int)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT setval(pg_get_serial_sequence('timeline', 'id'), 1)",
    ],
)
def test_the_reader_may_not_do_anything_else(reader: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement.encode())


def test_the_reader_sees_the_current_summary_of_a_study(ledger: Ledger, reader: psycopg.Connection) -> None:
    _, study_id = whole_study(ledger)
    found = reader.execute("SELECT study_id, lane, state, view, findings, review_state FROM study_summaries")
    assert found.fetchall() == [(study_id, "routine", "summarised", "PA", "clear lungs", "draft")]
