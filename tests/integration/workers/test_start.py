"""What a worker process makes sure of before it touches anything."""

import socket

import httpx
import pytest

from tests.support.keys import HMAC_KEY
from tests.support.worker_bench import Bench
from xraygpt.stack.servers.ports import choose
from xraygpt_core.ledger.preflight import check_fingerprint
from xraygpt_core.privacy import load_pseudonymiser

TOKEN = "metrics-" + "m" * 32


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("XRAYGPT_HMAC_KEY", "0123456789abcdef" + HMAC_KEY[16:], "restore the key"),
        ("XRAYGPT_METRICS_PORT", "9", "XRAYGPT_METRICS_TOKEN"),
        ("XRAYGPT_DERIVED_BUCKET", "no-such-bucket", "XRAYGPT_DERIVED_BUCKET"),
        ("XRAYGPT_LEASE_SECONDS", "soon", "XRAYGPT_LEASE_SECONDS"),
        ("XRAYGPT_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:9/nowhere", "PostgreSQL does not answer"),
    ],
)
def test_a_process_that_cannot_work_says_why_in_one_line(bench: Bench, variable: str, value: str, said: str) -> None:
    check_fingerprint(bench.ledger, load_pseudonymiser(bench.settings).fingerprint)
    assert bench.start("ingest", **{variable: value}).wait(120) == 1
    (line,) = [line for line in bench.log().splitlines() if "CRITICAL" in line]
    assert said in line
    assert "Traceback" not in bench.log()


def test_two_processes_on_one_metrics_port_are_told_apart(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert bench.start("ingest", XRAYGPT_METRICS_PORT=port, XRAYGPT_METRICS_TOKEN=TOKEN).wait(120) == 1
    assert "XRAYGPT_METRICS_PORT" in bench.log()


def test_a_worker_tells_its_metrics_to_who_knows_the_token(bench: Bench) -> None:
    bench.register("incoming/letter.txt", b"Dear colleague")
    port = choose()
    bench.start("ingest", XRAYGPT_METRICS_PORT=str(port), XRAYGPT_METRICS_TOKEN=TOKEN)
    bench.until("SELECT state FROM images", "rejected", "the job is done")
    url = f"http://127.0.0.1:{port}"
    prometheus = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    assert 'xraygpt_job_attempts_total{kind="ingest"} 1.0' in prometheus.text
    assert "xraygpt_summaries_total" not in prometheus.text
    assert "xraygpt_http" not in prometheus.text
    with bench.ledger.work() as work:
        (alive,) = work.rows("SELECT kind, slots, bundle, devices FROM workers WHERE kind = 'ingest'")
    assert (alive["kind"], alive["bundle"], alive["devices"]) == ("ingest", None, None)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        stranger = httpx.get(f"{url}/metrics", headers=headers, timeout=60)
        assert (stranger.status_code, "xraygpt_job" in stranger.text) == (401, False)
    assert httpx.get(f"{url}/healthz", timeout=60).json() == {"status": "alive"}
