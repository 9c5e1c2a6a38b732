"""SQL as the reader, on real PostgreSQL."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from migrations.rights import VIEWS
from tests.support.analyst import Rows, run_query
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable

World = Any
Query = Callable[..., Rows]

pytestmark = pytest.mark.usefixtures("analysts")


@pytest.fixture
def query(shared: World) -> Query:
    return lambda statement, **options: run_query(shared.settings, statement, **options)


def refusal(query: Query, statement: str, **options: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        query(statement, **options)
    return str(refused.value)


def test_a_select_gives_columns_and_rows(query: Query) -> None:
    assert query("SELECT 1 AS one, 'x' AS text, NULL AS nothing") == Rows(
        ["one", "text", "nothing"], [[1, "x", None]], False
    )


def test_an_empty_result_has_its_columns(query: Query) -> None:
    assert query("SELECT study_id, summary FROM study_summaries") == Rows(["study_id", "summary"], [], False)


@pytest.mark.parametrize(
    "view", ["study_summaries", "backlog_progress", "chat_transcripts", "dead_jobs", "training_progress"]
)
def test_every_view_may_be_read(query: Query, view: str) -> None:
    assert query(f"SELECT * FROM {view} LIMIT 1").columns


@pytest.mark.parametrize("table", ["object_keys", "api_keys", "studies", "jobs", "idempotency_keys", "installation"])
def test_no_table_may_be_read_and_the_views_are_named(query: Query, table: str) -> None:
    said = refusal(query, f"SELECT * FROM {table}")
    assert said.startswith(f"{table} is no view of analysts: begin with all_studies; the others are ")
    assert sorted(said.rpartition("the others are ")[2].split(", ")) == sorted(set(VIEWS) - {"all_studies"})


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM study_summaries", "DELETE"),
        ("DELETE FROM studies", "DELETE"),
        ("INSERT INTO findings DEFAULT VALUES", "INSERT"),
        ("UPDATE study_summaries SET view = 'PA'", "UPDATE"),
        ("CREATE TABLE mine (a int)", "CREATE TABLE"),
        ("BEGIN", "BEGIN"),
    ],
)
def test_a_statement_that_is_no_select_is_named_and_what_runs_is_said(query: Query, statement: str, kind: str) -> None:
    assert refusal(query, statement) == f"{kind} does not run here: a query reads, so give one SELECT over the views"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM study_summaries",
        "CREATE TABLE mine (a int)",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT lo_create(1)",
    ],
)
def test_what_is_no_reading_is_refused(query: Query, statement: str) -> None:
    assert refusal(query, statement)


@pytest.mark.parametrize("statement", ["SELECT 1; SELECT 2", "SET statement_timeout = 0; SELECT 1", "COMMIT; SELECT 1"])
def test_a_second_statement_is_refused(query: Query, statement: str) -> None:
    assert refusal(query, statement) == "there is more than one statement here: give one SELECT, and run each by itself"


@pytest.mark.parametrize("statement", ["SET statement_timeout = 0", "BEGIN", "", " ; ", "LISTEN x"])
def test_a_statement_without_a_result_is_refused_or_gives_none(query: Query, statement: str) -> None:
    try:
        assert query(statement) == Rows([], [], False)
    except InvalidRequest:
        return


def test_a_percent_sign_is_no_placeholder(query: Query) -> None:
    assert query("SELECT 'a%s' LIKE 'a%' AS yes").rows == [[True]]


def test_an_error_says_what_postgresql_says(query: Query) -> None:
    said = refusal(query, "SELECT * FROM nowhere")
    assert said.startswith('relation "nowhere" does not exist; the views are all_studies, ')
    assert refusal(query, "SELECT nothing FROM all_studies") == 'column "nothing" does not exist'


def test_a_slow_statement_is_ended(query: Query) -> None:
    assert refusal(query, "SELECT pg_sleep(30)", seconds=0.3) == (
        "the statement took longer than a query may (0.3 s): ask for fewer days or studies in WHERE, or take psql with "
        "the reader's address"
    )


def test_a_statement_cannot_give_itself_more_time(query: Query) -> None:
    statement = "SELECT set_config('statement_timeout', '0', false), pg_sleep(30)"
    assert "longer than a query may (0.3 s)" in refusal(query, statement, seconds=0.3)


def test_rows_above_the_limit_are_cut_off_and_said_to_be(query: Query) -> None:
    result = query("SELECT generate_series(1, 100000000) AS n", max_rows=3)
    assert result == Rows(["n"], [[1], [2], [3]], True)


def test_a_result_may_be_that_of_explain_or_show(query: Query) -> None:
    assert query("SHOW timezone").rows == [["UTC"]]
    assert "Result" in str(query("EXPLAIN SELECT 1").rows[0][0])


def test_a_statement_of_any_letters_is_one_statement(query: Query) -> None:
    assert query("SELECT 'it''s $$ \\ \\'' x %s' AS v").rows == [["it's $$ \\ \\' x %s"]]
    assert "surrogate" in refusal(query, "SELECT '\ud800'")


@pytest.mark.parametrize("wide", ["repeat('x', 1000000)", "jsonb_build_array(repeat('x', 1000000))"])
def test_wide_rows_are_cut_off_before_they_fill_the_gateway(query: Query, wide: str) -> None:
    result = query(f"SELECT {wide} FROM generate_series(1, 50)")
    assert result.truncated
    assert 30 < len(result.rows) < 40


def test_rows_that_grow_wide_later_are_not_fetched_by_the_thousand(query: Query) -> None:
    grows = "CASE WHEN n < 3 THEN 'x' WHEN n < 150 THEN w ELSE (1 / (n - n))::text END"
    wide = "WITH w AS MATERIALIZED (SELECT repeat('x', 1000000) AS w)"
    assert query(f"{wide} SELECT {grows} FROM w, generate_series(1, 200) AS n").truncated


def test_as_many_rows_as_the_limit_are_whole(query: Query) -> None:
    assert query("SELECT n FROM generate_series(1, 3) AS n", max_rows=3).truncated is False


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("true", True),
        ("1.50::numeric", 1.5),
        ("10::numeric", 10),
        ("'NaN'::numeric", None),
        ("'Infinity'::float8", None),
        ("0.25::float8", 0.25),
        ("'00000000-0000-0000-0000-000000000001'::uuid", "00000000-0000-0000-0000-000000000001"),
        ("timestamptz '2026-01-02 03:04:05+00'", "2026-01-02T03:04:05+00:00"),
        ("date '2026-01-02'", "2026-01-02"),
        ("interval '90 seconds'", "PT1M30S"),
        ("'\\x00ff'::bytea", "00ff"),
        ("ARRAY[1, NULL, 3]", [1, None, 3]),
        ('\'{"a": [1, {"b": null}]}\'::jsonb', {"a": [1, {"b": None}]}),
        ("'infinity'::timestamptz", "infinity"),
        ("timestamp '2026-01-02 03:04:05.5'", "2026-01-02T03:04:05.5"),
        ("date '4712-01-01 BC'", "4712-01-01 BC"),
        ("time '03:04'", "03:04:00"),
        ("ARRAY[timestamptz '2026-01-02 03:04:05+02']", ["2026-01-02T01:04:05+00:00"]),
        ("point(1, 2)", "(1,2)"),
        ("int4range(1, NULL)", "[1,)"),
        ("ARRAY[daterange('2026-01-02', 'infinity')]", ["[2026-01-02,infinity)"]),
        ("ARRAY['00000000-0000-0000-0000-000000000001'::uuid]", ["00000000-0000-0000-0000-000000000001"]),
        ("(repeat('9', 5000))::numeric", "9" * 5000),
        ("jsonb_build_array((repeat('9', 5000))::numeric)", ["9" * 5000]),
        ("1e400::numeric / 3e399", 3.3333333333333335),
        ("12345678901234567890::numeric", 12345678901234567890),
    ],
)
def test_a_value_is_json_safe(query: Query, expression: str, value: object) -> None:
    assert query(f"SELECT {expression} AS v").rows == [[value]]


def test_a_reader_that_is_not_configured_is_said_to_be_so(shared: World) -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_READER_URL"):
        run_query(shared.settings.model_copy(update={"reader_url": None}), "SELECT 1")


def test_a_server_that_does_not_answer_is_unavailable(shared: World) -> None:
    nowhere = shared.settings.model_copy(update={"reader_url": SecretStr("postgresql://a:b@127.0.0.1:1/x")})
    with pytest.raises(Unavailable):
        run_query(nowhere, "SELECT 1")


def test_a_nul_is_refused(query: Query) -> None:
    assert "NUL" in refusal(query, "SELECT '\0'")


def test_the_summaries_can_be_queried_over_http(world: World) -> None:
    study_id, _ = world.summarised()
    answer = world.client.post(
        "/v1/query", json={"sql": "SELECT study_id, summary, summarised_at FROM study_summaries"}
    )
    result = answer.json()
    assert result["columns"] == ["study_id", "summary", "summarised_at"]
    ((found, summary, moment),) = result["rows"]
    assert (UUID(found), summary) == (UUID(study_id), "No acute disease.")
    assert dt.datetime.fromisoformat(moment).tzinfo is not None


def test_a_wrong_statement_over_http_is_a_problem(shared: World) -> None:
    answer = shared.client.post("/v1/query", json={"sql": "SELEKT"})
    assert answer.status_code == 422
    assert "syntax error" in answer.json()["detail"]


def test_nobody_queries_without_a_key(shared: World) -> None:
    assert shared.stranger.post("/v1/query", json={"sql": "SELECT 1"}).status_code == 401


@pytest.mark.parametrize(
    "document",
    [
        "(repeat('[', 300) || repeat(']', 300))::json",
        "(repeat('[', 3000) || repeat(']', 3000))::json",
        """'{"half": "\\uD83D"}'::json""",
    ],
)
def test_a_document_that_our_answer_could_not_say_is_given_as_its_text(shared: World, document: str) -> None:
    answer = shared.client.post(
        "/v1/query", json={"sql": f"SELECT v, v::text, ARRAY[v] FROM (SELECT {document} AS v) x"}
    )
    ((value, text, listed),) = answer.json()["rows"]
    assert value == text
    assert listed == [text]


def test_an_answer_in_another_encoding_is_refused(query: Query) -> None:
    assert "client_encoding" in refusal(query, "SELECT set_config('client_encoding', 'LATIN1', true), 'é'")
