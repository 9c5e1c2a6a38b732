"""Flower of the whole stack: the jobs of a study, from its film to its summary, and no ring or round among them."""

import ast
from pathlib import Path

import httpx
import pytest

from tests.e2e.phantom_folder import write_phantoms

pytestmark = pytest.mark.timeout(900)

KINDS = {f"xraygpt.{kind}" for kind in ("ingest", "settle", "summarise", "chat", "train")}


def test_each_job_of_a_study_is_a_task_and_nothing_else_is_one(stack, tmp_path: Path) -> None:
    films = write_phantoms(tmp_path, 77_000, 1)
    submitted = stack.call("submit", str(films[0]), "--wait")
    assert submitted.code == 0, submitted.stderr
    study = submitted.document["studies"][0]["study_id"]
    jobs = {str(job): f"xraygpt.{kind}" for job, kind in stack.rows(_JOBS.format(study))}
    assert set(jobs.values()) == {"xraygpt.ingest", "xraygpt.settle", "xraygpt.summarise"}
    facts = stack.facts
    auth = (facts["flower_user"], facts["flower_password"])
    with httpx.Client(base_url=facts["flower_url"], auth=auth, timeout=120) as flower:

        def tasks():
            return flower.get("/api/tasks").raise_for_status().json()

        stack.wait_until(lambda: jobs.keys() <= done(tasks()), "Flower has heard of all", seconds=120)
        listed = tasks()
    assert {job: listed[job]["name"] for job in jobs} == jobs
    assert {ast.literal_eval(listed[job]["kwargs"])["study"] for job in jobs} == {study}
    assert {task["name"] for task in listed.values()} <= KINDS


_JOBS = "SELECT DISTINCT job_id, kind FROM timeline JOIN jobs ON jobs.id = job_id WHERE study_id = '{}'"


def done(tasks):
    return {job for job, task in tasks.items() if task["state"] == "SUCCESS"}
