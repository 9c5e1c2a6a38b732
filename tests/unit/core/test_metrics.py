"""Metrics: what is counted is used, and nothing that is counted names a patient."""

import re
from pathlib import Path

from prometheus_client import REGISTRY, generate_latest

from xraygpt_core import metrics
from xraygpt_core.metrics import jobs_by_state, open_training

ROOT = Path(__file__).parents[3]
ALLOWED_LABELS = {
    "reason",
    "kind",
    "lane",
    "state",
    "stage",
    "method",
    "route",
    "status",
    "source",
    "result",
    "buckets",
    "device",
    "le",
}


def test_jobs_are_told_by_kind_lane_and_state() -> None:
    counts = [{"kind": "ingest", "lane": "stat", "state": "queued", "jobs": 3, "oldest_seconds": 2.5, "lane_rank": 0}]
    text = generate_latest(jobs_by_state(counts)).decode()
    assert 'xraygpt_jobs{kind="ingest",lane="stat",state="queued"} 3.0' in text
    assert 'xraygpt_job_oldest_age_seconds{kind="ingest",lane="stat",state="queued"} 2.5' in text


def test_open_runs_are_told_by_stage_and_state_and_the_one_that_trains_by_its_figures() -> None:
    run = {"stage": "stage1", "state": "running", "runs": 1, "loss": 2.5, "held_out": None, "samples_per_s": 7.0}
    waiting = run | {"state": "paused", "runs": 2, "loss": 9.0}
    text = generate_latest(open_training([run, waiting])).decode()
    assert 'xraygpt_training_runs{stage="stage1",state="paused"} 2.0' in text
    assert 'xraygpt_training_loss{stage="stage1"} 2.5' in text
    assert 'xraygpt_training_samples_per_second{stage="stage1"} 7.0' in text
    assert "held_out_loss{" not in text
    assert "{" not in generate_latest(open_training([])).decode()


def test_no_jobs_are_no_samples() -> None:
    assert "{" not in generate_latest(jobs_by_state([])).decode()


def test_two_scrapes_do_not_add_up() -> None:
    count = {"kind": "chat", "lane": "stat", "state": "dead", "jobs": 1, "oldest_seconds": None}
    assert generate_latest(jobs_by_state([count])) == generate_latest(jobs_by_state([count]))


def test_every_metric_is_used_somewhere() -> None:
    source = "\n".join(
        path.read_text()
        for package in ("api_gateway", "workers", "xraygpt_core")
        for path in (ROOT / package).rglob("*.py")
    )
    names = [name for name in vars(metrics) if name.isupper() and not name.startswith("_")]
    assert names
    assert [name for name in names if not re.search(rf"\b{name}\.", source)] == []


def test_every_name_has_our_prefix_and_every_label_is_a_word_of_ours() -> None:
    ours = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]
    for metric in ours:
        assert set(metric._labelnames) <= ALLOWED_LABELS
    names = {family.name for family in REGISTRY.collect() if not family.name.startswith(("python_", "process_"))}
    assert {name for name in names if not name.startswith("xraygpt_")} == set()
