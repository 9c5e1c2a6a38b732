"""The table of job kinds: every kind has its row, and whatever differs between kinds is asked of it."""

import re
from pathlib import Path

import pytest

from tests.support.keys import HMAC_KEY
from xraygpt_core.ledger.jobs.kinds import KINDS, Buckets, Subject, key_sql, study_sql, subjects_sql
from xraygpt_core.models import metadata
from xraygpt_core.queue import queue_of, queues_of
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane

ROOT = Path(__file__).parents[3]


def settings(**values: float) -> Settings:
    return Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        s3_endpoint_url="http://127.0.0.1:1",
        bucket="source",
        derived_bucket="derived",
        hmac_key=HMAC_KEY,
        **values,
    )


def test_every_kind_has_its_row_and_no_other_has_one() -> None:
    assert set(KINDS) == set(JobKind)


@pytest.mark.parametrize("kind", JobKind)
def test_the_statements_of_a_kind_change_its_subject_and_nothing_else(kind: JobKind) -> None:
    row = KINDS[kind]
    changed = Subject.RUN if row.subject in (Subject.SHARD, Subject.FEATURES) else row.subject  # those that wait for it
    for statement in filter(None, (row.dies, row.replays, row.cancels)):
        assert re.findall(r"UPDATE (\w+)", statement) == [changed]
    assert ":subject" in row.dies
    assert f"kind = '{kind}'" in row.replays
    assert f"kind = '{kind}'" in row.cancels or not row.cancels


def test_subjects_are_tables_and_those_of_a_study_name_it() -> None:
    in_a_study = {name for name in Subject if "study_id" in metadata.tables[name].columns}
    assert in_a_study == {Subject.IMAGE, Subject.TURN}
    for name in in_a_study:
        assert f"FROM {name} " in study_sql("c")
        assert f"FROM {name} " in subjects_sql(":id")


def test_a_key_is_made_of_what_a_kind_has() -> None:
    assert key_sql("a", "b", "c") == "concat_ws(':', a, b, c)"
    assert key_sql("a") == "concat_ws(':', a, NULL, NULL)"


def test_training_may_be_silent_and_run_for_longer_than_the_rest() -> None:
    given = settings(stall_seconds=1.0, max_run_seconds=2.0, train_stall_seconds=3.0, train_max_seconds=4.0)
    assert {kind: KINDS[kind].limits(given) for kind in JobKind} == {
        JobKind.INGEST: (1.0, 2.0),
        JobKind.SETTLE: (1.0, 2.0),
        JobKind.SUMMARISE: (1.0, 2.0),
        JobKind.CHAT: (1.0, 2.0),
        JobKind.PLAN: (3.0, 4.0),
        JobKind.PREPARE: (1.0, 4.0),  # many films: each may be silent for as long as one of ingest
        JobKind.ENCODE: (1.0, 4.0),
        JobKind.TRAIN: (3.0, 4.0),
    }


def test_a_kind_says_which_buckets_it_needs() -> None:
    assert {kind: KINDS[kind].buckets for kind in JobKind} == {
        JobKind.INGEST: Buckets(source=True, writes=True),
        JobKind.SETTLE: None,
        JobKind.SUMMARISE: Buckets(),
        JobKind.CHAT: Buckets(),
        JobKind.PLAN: Buckets(source=True, writes=True),
        JobKind.PREPARE: Buckets(source=True, writes=True),
        JobKind.ENCODE: Buckets(),  # it writes features alone, and so cannot try whether the bucket takes an object
        JobKind.TRAIN: Buckets(writes=True),
    }


def test_a_person_waits_for_an_answer_alone() -> None:
    assert [kind for kind in JobKind if KINDS[kind].urgent] == [JobKind.CHAT]


def test_there_is_a_queue_for_every_kind_in_every_lane() -> None:
    queues = [queue_of(name) for name in queues_of(*JobKind)]
    assert sorted(queues) == sorted((kind, lane) for kind in JobKind for lane in Lane)


@pytest.mark.parametrize("lane", Lane)
def test_a_stored_rank_is_its_lanes(lane: Lane) -> None:
    assert Lane.of_rank(lane.rank) is lane


def sources(*suffixes: str) -> dict[str, str]:
    """The text of every source file that lists lanes or kinds, by its path; migrations are history."""
    roots = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "xraygpt")
    paths = (path for root in roots for path in (ROOT / root).rglob("*") if path.suffix in suffixes)
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def test_a_lane_is_listed_in_states_and_in_the_pages_words_alone() -> None:
    row = r"\W{1,4}[^\n]*\n?[^\n]*".join(rf"\b{lane}\b[\"']?(?:,|:|\])" for lane in Lane)
    found = {path for path, text in sources(".py", ".js", ".sql").items() if re.search(row, text)}
    assert found == {"api_gateway/static/words.js"}  # the enum has a line and a comment for each


def test_a_kind_is_told_apart_in_the_table_where_a_worker_takes_it_and_where_a_wait_is_explained() -> None:
    told_apart = re.compile(r"(?:is|is not|==|!=|in|case) \(?JobKind\.|JobKind\.\w+:")
    found = {path for path, text in sources(".py").items() if told_apart.search(text)}
    assert found == {"xraygpt_core/ledger/jobs/kinds.py", "workers/worker_kinds.py", "xraygpt/waiting.py"}


@pytest.mark.parametrize("kind", JobKind)
def test_a_worker_takes_every_kind(kind: JobKind) -> None:
    text = (ROOT / "workers" / "worker_kinds.py").read_text()
    assert f"JobKind.{kind.name}: " in text
    assert re.search(rf"queues_of\([^)]*JobKind\.{kind.name}\b", text)
