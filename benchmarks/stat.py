"""A lone stat film, from the beginning of its upload to the committed summary, beside one that waits for its study.

A stat study is settled as soon as its first frontal film is read. In the lane ``routine`` the same film waits for the
quiet time of its study (``XRAYGPT_SETTLE_SECONDS``), as a stat film did before: that is "off". The two take turns. The
services are real, S3 too; the workers decode and generate nothing (:mod:`benchmarks.null_worker`), so what is measured
is waiting and the control plane.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from statistics import median, quantiles

import httpx
import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.path import COMMANDS
from benchmarks.sizes import ledger_of
from benchmarks.stack import BenchmarkStack, wait_until_quiet
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt_core.ledger.access.api_keys import NewKey, make_key
from xraygpt_core.s3_client import new_client
from xraygpt_core.states import KeyKind, Lane, Role

FILM_BYTES = 8 << 20  # of a detector's film, uncompressed
_WARM = 3
_TURNS = {"on": Lane.STAT, "off": Lane.ROUTINE}

_SUMMARISED = "EXISTS (SELECT FROM summaries m JOIN images i USING (study_id) WHERE i.id = '{}')"
_TOOK = """
    SELECT extract(epoch FROM m.summarised_at - CAST(%s AS timestamptz))::float8
    FROM summaries m JOIN images i USING (study_id) WHERE i.id = %s
"""


def measure(running: BenchmarkStack, films: int) -> list[Row]:
    """Median and 95th percentile of so many films each way."""
    with (
        _bucket(running) as settings,
        running.processes(COMMANDS, **settings),
        _client(running) as client,
        running.connect() as connection,
    ):
        say(f"{films} lone films, stat at once on and off in turns")
        return rows(in_turns(lambda lane: _milliseconds(client, connection, lane), films))


def in_turns(film: Callable[[Lane], float], count: int) -> dict[str, list[float]]:
    """What so many films took each way, one after the other; those before, which warm everything, do not count."""
    for lane in [*_TURNS.values()] * _WARM:
        film(lane)
    found: dict[str, list[float]] = {name: [] for name in _TURNS}
    for _ in range(count):
        for name, lane in _TURNS.items():
            found[name].append(film(lane))
    return found


def rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    """The figures of both ways; those of "off" are the baseline."""
    figures = {name: (median(took), quantiles(took, n=20, method="inclusive")[-1]) for name, took in found.items()}
    return [
        tell(Row(f"stat_at_once.{name}.{figure}", value, "ms", before))
        for name, values in figures.items()
        for figure, value, before in zip(("p50", "p95"), values, figures["off"], strict=True)
    ]


def _milliseconds(client: httpx.Client, connection: "psycopg.Connection", lane: Lane) -> float:
    """By the database's clock, which is this machine's."""
    film = os.urandom(FILM_BYTES)
    sha256 = hashlib.sha256(film).hexdigest()
    began = connection.execute("SELECT clock_timestamp()").fetchone()
    uri = client.put(f"/v1/uploads/{sha256}", content=film).raise_for_status().json()["uri"]
    body = {"objects": [{"uri": uri}], "lane": lane}
    image_id = client.post("/v1/studies", json=body).raise_for_status().json()["images"][0]["image_id"]
    wait_until_quiet(connection, _SUMMARISED.format(image_id), 120)
    took = connection.execute(_TOOK, [began and began[0], image_id]).fetchone()
    assert took is not None, "it was seen"
    return 1000 * float(took[0])


@contextmanager
def _bucket(running: BenchmarkStack) -> Iterator[dict[str, str]]:
    """Two buckets on an S3 server; the settings that name them."""
    server = ObjectServer(running.directory / "s3")
    server.start()
    try:
        with closing(new_client(server.url, server.access_key, server.secret_key)) as client:
            for name in ("XRAYGPT_BUCKET", "XRAYGPT_DERIVED_BUCKET"):
                client.create_bucket(Bucket=running.environment[name])
        names = ("s3_endpoint_url", "s3_access_key", "s3_secret_key")
        yield dict(zip(names, (server.url, server.access_key, server.secret_key), strict=True))
    finally:
        server.stop()


@contextmanager
def _client(running: BenchmarkStack) -> Iterator[httpx.Client]:
    """A program that hands in films, stat ones too."""
    with ledger_of(running) as ledger:
        key = make_key(ledger, NewKey("benchmark", KeyKind.PROGRAM, [Role.SERVICE], stat=True))[1]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=running.gateway_url, headers=headers, timeout=60, trust_env=False) as client:
        yield client
