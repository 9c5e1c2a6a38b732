"""SIGKILL of any one process of the stack loses nothing and makes nothing twice."""

import json

import psycopg
import pytest

from tests.e2e.phantom_folder import write_phantoms
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.timeout(900)

VICTIMS = ["postgres", "broker", "s3", "gateway", "ingest", "gpu", "control", "flower", "supervisor"]


def ended(stack) -> int:
    """How many of this run's summaries are in the database; -1 while it cannot be asked."""
    try:
        return stack.rows("SELECT count(*) FROM summaries WHERE superseded_at IS NULL")[0][0]
    except (psycopg.OperationalError, FileNotFoundError, json.JSONDecodeError):
        return -1


def kill_in_the_middle(stack, folder, victims) -> dict:
    """Submit a folder, kill each victim in turn while it runs, and give what the command said."""
    before = ended(stack)
    total = len(list(folder.iterdir()))
    submitting = stack.begin("submit", str(folder), "--wait")
    for place, victim in enumerate(victims, start=1):
        reached = before + total * place // (len(victims) + 2)
        stack.wait_until(lambda reached=reached: ended(stack) >= reached, f"{reached} summaries", seconds=400)
        stack.kill(victim)
        if victim == "supervisor":
            up = stack.call("up", "--detach")
            assert up.code == 0, up.stderr
    out, said = submitting.communicate(timeout=600)
    assert submitting.returncode == 0, said[-2000:] + stack.logs()
    return json.loads(out)


def assert_all_summarised_once(stack, document, count):
    assert document["counts"] == {"summarised": count}
    ids = {row["study_id"] for row in document["studies"]}
    assert len(ids) == count
    current = stack.rows("SELECT study_id::text, count(*) FROM summaries WHERE superseded_at IS NULL GROUP BY 1")
    assert {study: times for study, times in current if study in ids} == dict.fromkeys(ids, 1)
    with psycopg.connect(stack.facts["database_url"]) as connection:
        check_invariants(connection)


def test_what_computes_what_remembers_and_what_carries_may_each_be_killed_during_a_run(stack, tmp_path):
    write_phantoms(tmp_path / "films", 50_000, 12)

    document = kill_in_the_middle(stack, tmp_path / "films", ["ingest", "broker", "gpu", "postgres"])

    assert_all_summarised_once(stack, document, 12)


@pytest.mark.long
def test_every_process_may_be_killed_in_turn_during_one_run_of_200_phantoms(stack, tmp_path):
    write_phantoms(tmp_path / "films", 51_000, 200)

    document = kill_in_the_middle(stack, tmp_path / "films", VICTIMS)

    assert_all_summarised_once(stack, document, 200)


@pytest.mark.long
@pytest.mark.parametrize("victim", VICTIMS)
def test_200_phantoms_end_with_one_summary_each_though_this_process_is_killed(stack, tmp_path, victim):
    write_phantoms(tmp_path / "films", 60_000 + 1000 * VICTIMS.index(victim), 200)

    document = kill_in_the_middle(stack, tmp_path / "films", [victim])

    assert_all_summarised_once(stack, document, 200)
