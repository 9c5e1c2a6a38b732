"""Who can reach whom, and who holds what, computed from docker-compose.yml and compared with what is meant."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.compose_file import NEEDED, ONCE, WORKERS, secrets_of

Services = dict[str, dict[str, Any]]

# Server: who shares a network with it. What they get there is a matter of passwords, tokens and keys.
MEANT = {
    "postgres": {"migrate", "prepare", "gateway", "grafana", *WORKERS},
    "redis": {"gateway", "flower", *WORKERS},
    "s3": {"prepare", "gateway", *WORKERS},
    "prometheus": {"gateway", "grafana", *WORKERS},
    "flower": {"gateway", "grafana", "redis", *WORKERS},
    "grafana": {"gateway", "flower", "postgres", "prometheus", "migrate", "prepare", *WORKERS},
    "gateway": {"postgres", "redis", "s3", "prometheus", "grafana", "flower", "migrate", "prepare", *WORKERS},
    "models": set(),
}
OWN_BUCKET_KEYS = {"XRAYGPT_S3_ACCESS_KEY", "XRAYGPT_S3_SECRET_KEY"}
OF_A_WORKER = {"XRAYGPT_DATABASE_URL", "XRAYGPT_REDIS_URL", "XRAYGPT_METRICS_TOKEN", *OWN_BUCKET_KEYS}
PASSWORDS = {f"{one}_password" for one in ("reader", "gateway", "ingest", "gpu", "training", "control", "events")}
HOLDS = {
    "postgres": {"postgres_password", "owner_password"},
    "redis": {"redis_password"},
    "prometheus": {"metrics_token"},
    "grafana": {"grafana_password", "reader_password"},
    "migrate": {"XRAYGPT_DATABASE_URL"},
    "prepare": {"XRAYGPT_DATABASE_URL", *OWN_BUCKET_KEYS, *PASSWORDS},
    "models": set(),
    "flower": {"XRAYGPT_REDIS_URL", "XRAYGPT_FLOWER_PASSWORD"},
    "gateway": {*OF_A_WORKER, "XRAYGPT_READER_URL", "XRAYGPT_WEBHOOK_TOKEN", "hmac.key"},
}
HOLDS |= dict.fromkeys(WORKERS, OF_A_WORKER) | {"worker-ingest": {*OF_A_WORKER, "hmac.key"}}
# Each process is let in as itself: what the files behind the settings of its secrets are called.
PROCESSES = {"gateway": "gateway", "control": "control"} | {
    f"worker-{one}": one for one in ("ingest", "gpu", "events", "training")
}


def networks(services: Services, overlay: Mapping[str, Any] | None = None) -> dict[str, set[str]]:
    """The networks of each service; an overlay adds to them, as Compose merges."""
    added = overlay["services"] if overlay else {}
    return {name: {*one["networks"], *added.get(name, {}).get("networks", ())} for name, one in services.items()}


def with_a_way_out(compose: dict[str, Any], on: dict[str, set[str]]) -> set[str]:
    """Those on a network that is neither internal nor without masquerading."""
    open_ones = {
        name for name, one in compose["networks"].items() if not one or not (one.get("internal") or one["driver_opts"])
    }
    return {name for name, its in on.items() if its & open_ones}


def test_every_service_says_which_networks_it_is_on(compose: dict[str, Any], services: Services) -> None:
    for name, its in networks(services).items():
        assert its, name
        assert its <= set(compose["networks"]), name


@pytest.mark.parametrize("server", sorted(MEANT))
def test_a_server_is_reached_by_those_who_need_it(services: Services, server: str) -> None:
    on = networks(services)
    assert {name for name in on if name != server and on[name] & on[server]} == MEANT[server]


def test_nothing_but_the_fetch_of_models_has_a_way_out(compose: dict[str, Any], services: Services) -> None:
    assert with_a_way_out(compose, networks(services)) == {"models"}


def test_a_bucket_elsewhere_opens_the_way_for_those_who_hold_its_keys(
    compose: dict[str, Any], services: Services, external_bucket: dict[str, Any]
) -> None:
    holders = {name for name, service in services.items() if secrets_of(service) >= OWN_BUCKET_KEYS}
    assert with_a_way_out(compose, networks(services, external_bucket)) == {"models", *holders}
    for name, added in external_bucket["services"].items():
        assert set(added) == {"networks"}, name


def test_only_what_is_published_is_on_the_edge(services: Services) -> None:
    assert {name for name, its in networks(services).items() if "edge" in its} == {"gateway", "flower", "grafana"}
    assert {name for name, service in services.items() if "ports" in service} == {"gateway", "flower", "grafana"}


@pytest.mark.parametrize("name", sorted(HOLDS))
def test_a_container_holds_the_secrets_it_uses_and_no_other(services: Services, name: str) -> None:
    assert secrets_of(services[name]) == HOLDS[name]


def test_every_container_is_in_the_table_but_the_bucket_that_knows_all_its_callers(services: Services) -> None:
    assert set(HOLDS) | {"s3"} == NEEDED | ONCE
    callers = {f"s3_{one}_{part}" for one in PROCESSES.values() for part in ("access_key", "secret_key")}
    its_own = {"webhook_token", "s3_access_key", "s3_secret_key", "s3_inside.crt", "s3_inside.key"}
    assert secrets_of(services["s3"]) == its_own | callers


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_process_enters_the_database_and_the_bucket_under_its_own_name(services: Services, name: str) -> None:
    sources = {one["target"]: one["source"] for one in services[name]["secrets"]}
    me = PROCESSES[name]
    assert sources["XRAYGPT_DATABASE_URL"] == f"{me}_database_url"
    assert sources["XRAYGPT_S3_ACCESS_KEY"] == f"s3_{me}_access_key"
    assert sources["XRAYGPT_S3_SECRET_KEY"] == f"s3_{me}_secret_key"


def test_the_owner_of_the_database_is_known_to_what_runs_once_alone(services: Services) -> None:
    owner = {
        name
        for name, service in services.items()
        for one in service.get("secrets", [])
        if (one if isinstance(one, str) else one["source"]) in ("database_url", "owner_password")
    }
    assert owner == {"postgres", "migrate", "prepare"}
