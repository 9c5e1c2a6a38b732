"""The dashboard: its SQL runs as the analysts' role on the schema as it is, and its PromQL names what is exported."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import psycopg
import pytest
import yaml

from tests.support.ledger_tools import one, put, whole_study
from tests.unit.deploy.test_monitoring import LEDGER, RECORDED, series
from workers.rollups import Rollups
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.ledger.transaction import Ledger

DEPLOY = Path(__file__).parents[3] / "deploy"
BOARD = json.loads((DEPLOY / "grafana/dashboards/xraygpt.json").read_text())
TARGETS = [(panel["title"], target) for panel in BOARD["panels"] for target in panel["targets"]]
SQL = [(title, target["rawSql"]) for title, target in TARGETS if "rawSql" in target]
PROMQL = [(title, target["expr"]) for title, target in TARGETS if "expr" in target]
TRAINING = {"xraygpt_training_loss", "xraygpt_training_held_out_loss", "xraygpt_training_runs"}


def test_the_dashboard_asks_both() -> None:
    assert len(SQL) > 5
    assert len(PROMQL) > 5
    assert all("rawSql" in target or "expr" in target for _, target in TARGETS)


@pytest.fixture
def reader(postgres: Postgres, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The analysts' own session on a database in which a little happened."""
    with psycopg.connect(database_url) as owner:
        owner.execute("INSERT INTO work_rollup (bucket, kind, lane_rank, done) VALUES (now(), 'ingest', 0, 7)")
        owner.execute("INSERT INTO worker_rollup (bucket, worker, kind) VALUES (now(), 'ingest-1@h', 'ingest')")
        owner.execute("INSERT INTO workers (name, kind, slots, busy) VALUES ('ingest-1@h', 'ingest', 1, 0)")
        owner.execute("INSERT INTO backlog_rollup (backlog_id, bucket) VALUES (gen_random_uuid(), now())")
        owner.execute(
            "INSERT INTO jobs (id, kind, subject, key, lane_rank, state, max_attempts, last_error)"
            " VALUES (gen_random_uuid(), 'ingest', gen_random_uuid(), 'k', 0, 'dead', 1, 'signal 9')"
        )
        owner.execute("ALTER ROLE xraygpt_reader LOGIN PASSWORD 'grafana'")
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    target = psycopg.conninfo.make_conninfo("", **{**where, "user": "xraygpt_reader", "password": "grafana"})
    with psycopg.connect(target, autocommit=True) as connection:
        yield connection
    with psycopg.connect(postgres.url) as owner:
        owner.execute("ALTER ROLE xraygpt_reader NOLOGIN PASSWORD NULL")  # roles belong to all databases


def test_every_panels_sql_runs_as_the_analysts_role_and_shows_something(reader: psycopg.Connection[Any]) -> None:
    for title, query in SQL:
        within = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - interval '6 hours'", query)
        assert reader.execute(within.encode()).fetchall(), title


@pytest.mark.parametrize(("title", "expression"), PROMQL)
def test_a_panels_promql_can_be_parsed_and_names_what_is_exported(title: str, expression: str) -> None:
    promql_parser.parse(expression)
    named = set(re.findall(r"\b(?:\w+:)?xraygpt_\w+(?::\w+)?", expression))
    assert named
    assert named <= set(series()) | LEDGER | TRAINING | {rule["record"] for rule in RECORDED}


def test_panels_lie_beside_each_other_and_not_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_panels_ask_the_sources_that_are_provisioned() -> None:
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/xraygpt.yml").read_text())["datasources"]
    known = {(source["type"], source["uid"]) for source in sources}
    asked: set[tuple[Any, Any]] = {(target["datasource"]["type"], target["datasource"]["uid"]) for _, target in TARGETS}
    assert asked == known
    (postgres,) = [source for source in sources if "postgres" in source["type"]]
    assert (postgres["user"], postgres["secureJsonData"]["password"]) == (
        "xraygpt_reader",
        "$__file{/run/secrets/reader_password}",
    )


def test_the_panels_sums_are_the_ledgers(ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        whole_study(ledger, key=name)
    put(ledger, "d")  # waits
    Rollups(ledger)._count(0.0)
    panel = {title: re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - interval '6 hours'", sql) for title, sql in SQL}
    summed = "SELECT CAST(COALESCE(sum(value), 0) AS int) FROM ({}) AS panel"
    done = one(ledger, "SELECT count(*) FROM jobs WHERE state = 'done'")
    assert one(ledger, summed.format(panel["Done in five minutes"])) == done > 0
    assert one(ledger, summed.format(panel["Arrived in five minutes"])) == one(ledger, "SELECT count(*) FROM jobs")
