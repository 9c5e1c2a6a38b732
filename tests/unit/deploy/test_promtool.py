"""The rules as Prometheus itself reads them, and the configurations that name them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from xraygpt.stack.settings.prometheus import prometheus_config

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
URLS = {"gateway": "https://127.0.0.1:12001/metrics", "ingest": "http://127.0.0.1:12002/metrics"}


@pytest.fixture(scope="session")
def promtool() -> str:
    """Where promtool is; without it these tests are skipped, and the reason says how to get it."""
    found = shutil.which("promtool") or shutil.which(str(ROOT / ".venv/bin/promtool"))
    if found is None:
        pytest.skip("needs promtool of Prometheus: `make promtool` on Debian, or install it")
    return found


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, cwd=DEPLOY, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules(promtool: str) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", "alerts.yml", "recording.yml")


def test_the_rules_do_what_their_tests_say(promtool: str) -> None:
    run(promtool, "test", "rules", "alerts.test.yml")


def test_the_one_machine_stacks_own_configuration_is_one(promtool: str, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    config = tmp_path / "prometheus.yml"
    config.write_text(prometheus_config(URLS, "t" * 32, str(authority)))
    assert "SUCCESS" in run(promtool, "check", "config", "--syntax-only", str(config))


def test_the_one_machine_stacks_own_configuration_names_every_process_and_the_rules() -> None:
    config = json.loads(prometheus_config(URLS, "t" * 32, "ca.pem"))
    gateway, workers = config["scrape_configs"]
    assert (gateway["scheme"], gateway["static_configs"], gateway["tls_config"]) == (
        "https",
        [{"targets": ["127.0.0.1:12001"]}],
        {"ca_file": "ca.pem"},
    )
    assert (workers["job_name"], workers["scheme"], workers["static_configs"]) == (
        "workers",
        "http",
        [{"targets": ["127.0.0.1:12002"]}],
    )
    assert "tls_config" not in workers
    assert [Path(rules).name for rules in config["rule_files"]] == ["alerts.yml", "recording.yml"]
