"""The page of operators has a name for every kind of job, and a worker that does it."""

import re
from pathlib import Path

from xraygpt_core.states import JobKind, JobState

STATIC = Path(__file__).parents[3] / "api_gateway" / "static"
WORDS = (STATIC / "opswords.js").read_text()


def keys_of(name: str) -> set[str]:
    """The keys of a table of words."""
    return set(re.findall(r"(\w+):", WORDS.partition(f"export const {name} = {{")[2].partition("};")[0]))


def test_every_kind_of_job_has_a_name_and_a_worker() -> None:
    assert keys_of("KINDS") == keys_of("WORKER_OF") == set(JobKind)


def test_every_state_of_an_open_or_dead_job_has_a_name() -> None:
    assert keys_of("STATES") == {JobState.QUEUED, JobState.RUNNING, JobState.DEAD}


def test_the_page_fetches_all_its_modules_at_once() -> None:
    page = (STATIC / "ops.html").read_text()
    wanted, seen = {"ops.js"}, set()
    while wanted:
        name = wanted.pop()
        seen.add(name)
        wanted |= set(re.findall(r'from "\./(\w+\.js)"', (STATIC / name).read_text())) - seen
    assert set(re.findall(r'/room/(\w+\.js)"', page)) == seen | {"start.js"}
