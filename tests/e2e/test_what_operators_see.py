"""After real work, each process shows its own counts, and the operators' page agrees with them."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.phantom_folder import write_phantoms

pytestmark = pytest.mark.timeout(900)


def test_every_process_counts_its_own_work_and_operations_says_the_same(stack, tmp_path: Path) -> None:
    films = write_phantoms(tmp_path, 78_000, 2)
    submitted = stack.call("submit", *map(str, films), "--wait")
    assert submitted.code == 0, submitted.stderr
    facts = stack.facts
    token = {"Authorization": f"Bearer {facts['metrics_token']}"}
    assert set(facts["metrics_urls"]) == {"gateway", "ingest", "gpu", "training", "control"}
    shown = {name: samples(url, token) for name, url in facts["metrics_urls"].items()}
    assert shown["gpu"]["xraygpt_summaries_total"] >= 2
    assert shown["gpu"]["xraygpt_tokens_total"] >= 2
    assert shown["gpu"]["xraygpt_engine_decode_seconds_total"] > 0
    assert shown["ingest"]["xraygpt_job_attempts_total"] >= 2
    for name in ("gateway", "ingest", "training", "control"):
        assert "xraygpt_summaries_total" not in shown[name], name
    with httpx.Client(base_url=facts["gateway_url"], headers={"X-API-Key": facts["api_key"]}, timeout=60) as gateway:

        def seen():
            return gateway.get("/v1/ops").raise_for_status().json()

        done = "SELECT count(*) FROM jobs WHERE state = 'done' AND kind = 'summarise'"
        stack.wait_until(lambda: drafts(seen()) == stack.rows(done)[0][0], "the rollup has them all", seconds=120)
        workers = {worker["kind"]: worker for worker in seen()["workers"]}
    assert set(workers) == {"ingest", "gpu", "training", "control"}
    assert workers["gpu"]["bundle"] == "demo"
    assert workers["gpu"]["slots"] > workers["gpu"]["busy"]


def samples(url, token):
    """The sums of a process's samples, by name."""
    sums = {}
    text = httpx.get(url, headers=token, timeout=60).raise_for_status().text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def drafts(seen):
    """The summaries that its curves count."""
    return sum(point["done"] for curve in seen["work"] if curve["kind"] == "summarise" for point in curve["points"])
