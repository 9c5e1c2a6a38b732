"""What Prometheus scrapes and what it wakes somebody for."""

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from xraygpt_core import metrics
from xraygpt_core.states import JobKind, JobState, Lane

ROOT = Path(__file__).parents[3]
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
RECORDED: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/recording.yml").read_text())["groups"][0]["rules"]
LEDGER = {"xraygpt_jobs", "xraygpt_job_oldest_age_seconds"}
WORDS = {"kind": set(JobKind), "stage": set(JobKind), "lane": set(Lane), "state": set(JobState)}


def series() -> dict[str, str]:
    """Every time series our processes expose, and the name of the variable that counts it."""
    found = {}
    for name, metric in vars(metrics).items():
        if isinstance(metric, Counter | Gauge | Histogram):
            for family in metric.describe():
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
                found |= {family.name + suffix: name for suffix in suffixes}
    return found


def selectors(expression: str) -> list[tuple[str, str]]:
    """(metric, matchers) of each selector of a PromQL expression."""
    return re.findall(r"\b(xraygpt_\w+|up)\b(?:\{([^}]*)\})?", expression)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_expression_of_an_alert_can_be_parsed(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])


def test_the_parser_refuses_what_is_no_expression() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("max by (lane (xraygpt_jobs) > 1")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_metrics_that_exist(rule: dict[str, Any]) -> None:
    used = {metric for metric, _ in selectors(rule["expr"])}
    assert used
    assert used <= set(series()) | LEDGER | {"up"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_metrics_that_somebody_counts(rule: dict[str, Any]) -> None:
    counted = series()
    sources = [path.read_text() for package in ("workers", "api_gateway") for path in (ROOT / package).rglob("*.py")]
    for metric, _ in selectors(rule["expr"]):
        if metric in counted:
            assert any(re.search(rf"\b{counted[metric]}\.", source) for source in sources), metric


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_words_of_the_system(rule: dict[str, Any]) -> None:
    for _, matchers in selectors(rule["expr"]):
        for label, word in re.findall(r'(\w+)\s*!?=\s*"([^"]*)"', matchers):
            if label in WORDS:
                assert word in WORDS[label], f"{label}={word}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert {"summary", "action"} <= set(rule["annotations"])
    assert rule["labels"]["severity"] in ("page", "warn")


@pytest.mark.parametrize("rule", RECORDED, ids=lambda rule: rule["record"])
def test_a_recording_can_be_parsed_and_speaks_of_metrics_that_exist(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])
    used = {metric for metric, _ in selectors(rule["expr"])}
    assert used
    assert used <= set(series()) | LEDGER


def test_waiting_is_measured_in_time_not_in_jobs() -> None:
    for rule in RULES:
        if "Waits" in rule["alert"] or "Long" in rule["alert"]:
            assert {metric for metric, _ in selectors(rule["expr"])} == {"xraygpt_job_oldest_age_seconds"}


def test_the_names_the_ledger_gives_its_gauges_are_the_ones_alerts_use() -> None:
    count = {"kind": "ingest", "lane": "stat", "state": "queued", "jobs": 3, "oldest_seconds": 61.0}
    families = {family.name: family for family in metrics.jobs_by_state([count]).collect()}
    assert set(families) == LEDGER
    (sample,) = families["xraygpt_job_oldest_age_seconds"].samples
    assert (sample.value, set(sample.labels)) == (61.0, {"kind", "lane", "state"})


def test_prometheus_scrapes_every_process_that_counts(services: dict[str, dict[str, Any]]) -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"]
    found = [one for job in jobs for one in job.get("dns_sd_configs", ())]
    asked = {(name, one["port"]) for one in found for name in one["names"]}
    asked |= {
        tuple(target.split(":")) for job in jobs for one in job.get("static_configs", ()) for target in one["targets"]
    }
    listening = {
        (name, service["environment"]["XRAYGPT_METRICS_PORT"])
        for name, service in services.items()
        if "XRAYGPT_METRICS_PORT" in service.get("environment", {})
    }
    assert asked == listening | {("gateway", "8000")}


def test_prometheus_shows_the_token_it_is_given(services: dict[str, dict[str, Any]]) -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"]
    assert {job["authorization"]["credentials_file"] for job in jobs} == {"/run/secrets/metrics_token"}
    assert "metrics_token" in services["prometheus"]["secrets"]


def test_flower_is_not_scraped() -> None:
    assert "flower" not in (ROOT / "deploy/prometheus.yml").read_text()


def test_prometheus_reads_the_rules_where_compose_puts_them(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    mounted = {volume.split(":")[1] for volume in services["prometheus"]["volumes"]}
    assert set(config["rule_files"]) <= mounted


def test_the_rules_tests_speak_of_alerts_and_series_that_exist() -> None:
    cases = yaml.safe_load((ROOT / "deploy/alerts.test.yml").read_text())["tests"]
    assert {one["alertname"] for case in cases for one in case.get("alert_rule_test", ())} <= {
        rule["alert"] for rule in RULES
    }
    recorded = {one["expr"] for case in cases for one in case.get("promql_expr_test", ())}
    assert recorded <= {rule["record"] for rule in RECORDED}
    named = {metric for case in cases for one in case["input_series"] for metric, _ in selectors(one["series"])}
    assert named <= set(series()) | LEDGER | {"up"}
