"""A configuration for a Prometheus on the same machine: every process of this stack, and the rules where they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

RULES = ("alerts.yml", "recording.yml")
_DEPLOY = Path(__file__).parents[3] / "deploy"  # of a checkout; an installed package has none


def prometheus_config(urls: Mapping[str, str], token: str, ca_file: str | None) -> str:
    """The file as JSON, which is YAML. It holds the token: mode 0600.

    Args:
        urls: where each process shows its metrics, by process.
        ca_file: of the authority that signed the gateway's certificate.
    """
    jobs = [
        _job("gateway", [urls["gateway"]], token, ca_file),
        _job("workers", [url for process, url in urls.items() if process != "gateway"], token, None),
    ]
    rules = [str(_DEPLOY / name) for name in RULES if (_DEPLOY / name).exists()]
    times = {"scrape_interval": "15s", "evaluation_interval": "15s"}
    return json.dumps({"global": times, "rule_files": rules, "scrape_configs": jobs}, indent=2) + "\n"


def _job(name: str, urls: list[str], token: str, ca_file: str | None) -> dict[str, object]:
    job: dict[str, object] = {
        "job_name": name,
        "scheme": urlsplit(urls[0]).scheme,
        "authorization": {"credentials": token},
        "static_configs": [{"targets": [urlsplit(url).netloc for url in urls]}],
    }
    return job | {"tls_config": {"ca_file": ca_file}} if ca_file else job
