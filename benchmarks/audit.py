"""What the audit costs a reader: pages of the worklist and chat, through two gateways that differ in nothing else.

``python -m benchmarks.audit``. The two take turns, round by round, so that what else the machine does meets both. Rows
are sealed meanwhile, as control does it. One of the gateways is this module with ``--serve without``: to it every
request has no actor, and so nothing is recorded.
"""

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import uvicorn

from api_gateway.app import create_app
from benchmarks.figures import Row, report, say, tell
from benchmarks.queries import fill
from benchmarks.stack import BenchmarkStack, services
from workers.audit_sealer import Sealer
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.stack.servers.ports import choose
from xraygpt_core.ledger.access.api_keys import EVERY_ROLE, NewKey, make_key
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.settings import load_settings
from xraygpt_core.states import KeyKind
from xraygpt_core.storage import ObjectStore

_STUDIES = 20_000
_ROUNDS, _LONG_ROUNDS = 8, 40
_REQUESTS = 120  # in a round
_AT_ONCE = (1, 8)

Ask = Callable[[http.client.HTTPConnection, dict[str, str]], None]


def measure(running: BenchmarkStack, rounds: int, only: Collection[str]) -> list[Row]:
    """p95, rate and processor time of each kind of request with the audit; without it as the baseline. Medians over
    the rounds, and over the quotients of rounds that followed each other.
    """
    with running.connect() as connection:
        fill(connection, _STUDIES)
        study = connection.execute("SELECT study_id FROM summaries LIMIT 1").fetchone()
    assert study is not None
    with _ledger(running) as ledger:
        _, key = make_key(ledger, NewKey("benchmark", KeyKind.BOTH, EVERY_ROLE))
        stop = Sealer(ledger).start(lambda: say("the sealer ended"))
        try:
            with _gateway(running, "with") as recorded, _gateway(running, "without") as plain:
                sides = (_Side(running, *recorded), _Side(running, *plain))
                headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
                return [
                    row
                    for name, ask in _kinds(str(study[0])).items()
                    for at_once in _AT_ONCE
                    if not only or f"{name}.{at_once}" in only
                    for row in _compared(f"{name}.{at_once}", ask, sides, headers, at_once, rounds)
                ]
        finally:
            stop()


def _kinds(study: str) -> dict[str, Ask]:
    page, question = "/v1/studies?list=awaiting&limit=50", json.dumps({"question": "Is there an effusion?"})
    return {
        "worklist": lambda to, headers: _answered(to, "GET", page, headers),
        "ask": lambda to, headers: _answered(to, "POST", f"/v1/studies/{study}/chat", headers, question),
        "study": lambda to, headers: _answered(to, "GET", f"/v1/studies/{study}", headers),
    }


def _answered(
    to: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> None:
    to.request(method, path, body, headers)
    answer = to.getresponse()
    answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status}")


def _compared(
    name: str, ask: Ask, sides: "tuple[_Side, _Side]", headers: dict[str, str], at_once: int, rounds: int
) -> list[Row]:
    found: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([], [])
    for number in range(rounds + 1):
        for place in (0, 1) if number % 2 else (1, 0):
            took = _round(ask, sides[place], headers, at_once)
            if number:  # the first one warms both
                found[place].append(took)
    rows = []
    for place, (figure, unit) in enumerate((("p95", "ms"), ("rate", "1/s"), ("processor", "ms"))):
        with_it, without = (median(one[place] for one in side) for side in found)
        rows.append(tell(Row(f"audit.{name}.{figure}", with_it, unit, without)))
        pairs = [one[place] / other[place] for one, other in zip(*found, strict=True)]
        rows.append(tell(Row(f"audit.{name}.{figure}_of_pairs", median(pairs), "ratio")))
    return rows


@dataclass
class _Side:
    """One gateway, and what the processors did for it: its process and all of PostgreSQL's, the sealer's included."""

    running: BenchmarkStack
    pid: int
    port: int

    def processor_ms(self) -> float:
        """So far, as the scheduler counts it; ticks would be too coarse. Backends live as long as the gateways."""
        postgres = (self.running.postgres.data / "postmaster.pid").read_text().split()[0]
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if path.parent.name == str(self.pid) or path.read_text().rpartition(")")[2].split()[1] == postgres:
                    tasks = (path.parent / "task").glob("*/schedstat")
                    total += sum(int(task.read_text().split()[0]) for task in tasks)
        return total / 1_000_000


def _round(ask: Ask, side: _Side, headers: dict[str, str], at_once: int) -> tuple[float, ...]:
    """The 95th percentile in milliseconds, requests a second, and milliseconds of a processor for each."""
    took: list[float] = []

    def work() -> None:
        to = http.client.HTTPConnection("127.0.0.1", side.port)
        for _ in range(_REQUESTS // at_once):
            began = time.perf_counter()
            ask(to, headers)
            took.append(time.perf_counter() - began)
        to.close()

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    before = side.processor_ms()
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return 1000 * quantiles(took, n=20)[-1], len(took) / seconds, (side.processor_ms() - before) / len(took)


@contextmanager
def _ledger(running: BenchmarkStack) -> Iterator[Ledger]:
    os.environ.update(running.environment)
    ledger = open_ledger(load_settings())
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _gateway(running: BenchmarkStack, how: str) -> Iterator[tuple[int, int]]:
    """A gateway in a process of its own; its process id and port."""
    port = choose()
    environment = os.environ | running.environment | {"XRAYGPT_GATEWAY_PORT": str(port)}
    command = [sys.executable, "-m", "benchmarks.audit", "--serve", how]
    process = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent())
    try:
        _wait_for(port)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        to = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            return _answered(to, "GET", "/healthz", {})
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        finally:
            to.close()


class _Nobodys(Ledger):
    """A ledger that forgets who acts."""

    def acting(self, actor: Actor) -> Ledger:
        del actor
        return self


def _serve(how: str) -> None:
    settings = load_settings()
    ledger = open_ledger(settings, pool_size=16)
    if how == "without":
        ledger = _Nobodys(settings, ledger.database, ledger.doorbell)
    app = create_app(ledger, ObjectStore(settings), load_pseudonymiser(settings))
    uvicorn.run(app, port=settings.gateway_port, log_level="error", access_log=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="more rounds")
    parser.add_argument("--only", action="append", metavar="PART", help="such as worklist.1; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--serve", choices=("with", "without"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        _serve(chosen.serve)
        return
    os.environ |= dict.fromkeys(("XRAYGPT_LIMIT_REQUEST", "XRAYGPT_LIMIT_QUESTION"), "1000000+10000/s")
    with services() as running:
        report(measure(running, _LONG_ROUNDS if chosen.full else _ROUNDS, chosen.only or ()), as_json=chosen.json)


if __name__ == "__main__":
    main()
