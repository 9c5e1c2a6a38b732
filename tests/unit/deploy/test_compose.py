"""docker-compose.yml: valid, whole, and as closed as it says."""

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.compose_file import NEEDED, NEEDS_TORCH, ONCE, OURS, READS_SETTINGS, WORKERS, settings_of
from xraygpt_core.settings import FlowerSettings, Settings, read_settings
from xraygpt_core.shutdown import worker_patience

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def schema() -> Any:
    """The schema of the Compose specification, which check-jsonschema carries."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(vendored.read_text())


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration[:-1])


def test_the_file_is_valid_compose(compose: dict[str, Any], schema: Any) -> None:
    jsonschema.validate(compose, schema)


def test_the_gpu_overlay_is_valid_compose(gpu_overlay: dict[str, Any], schema: Any) -> None:
    jsonschema.validate(gpu_overlay, schema)


def test_the_schema_would_notice_a_wrong_word(compose: dict[str, Any], schema: Any) -> None:
    broken = json.loads(json.dumps(compose))
    broken["services"]["gateway"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_every_part_of_the_system_is_there(services: Services) -> None:
    assert set(services) >= NEEDED
    assert set(services) == NEEDED | ONCE


def test_our_images_carry_the_version_of_the_project(services: Services, root: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    for name in OURS:
        assert services[name]["image"].endswith(f":{version}")


def test_only_what_needs_torch_carries_it(services: Services) -> None:
    for name in OURS:
        assert services[name]["build"]["target"] == ("gpu" if name in NEEDS_TORCH else "cpu"), name


def test_the_dockerfile_has_the_targets(services: Services, root: Path) -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (root / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert {services[name]["build"]["target"] for name in OURS} <= set(stages)


def test_every_service_says_when_it_is_started_again(services: Services) -> None:
    for name, service in services.items():
        assert service["restart"] == ("on-failure:3" if name in ONCE else "unless-stopped"), name


def test_everything_that_stays_up_has_a_health_check(services: Services) -> None:
    for name in set(services) - ONCE:
        check = services[name]["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name


def test_every_dependency_waits_for_the_right_thing(services: Services) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = {"service_completed_successfully"} if other in ONCE else {"service_healthy", "service_started"}
            assert how["condition"] in wanted, f"{name} -> {other}"


@pytest.mark.parametrize("name", sorted(WORKERS | {"gateway"}))
def test_nothing_starts_on_a_database_that_is_not_migrated(services: Services, name: str) -> None:
    seen, waiting = set(), [name]
    while waiting:
        before = set(services[waiting.pop()].get("depends_on", {})) - seen
        seen |= before
        waiting += before
    assert {"migrate", "prepare", "postgres", "redis", "s3"} <= seen


def test_a_worker_that_loads_a_bundle_waits_for_the_models(services: Services) -> None:
    assert "models" in services["worker-gpu"]["depends_on"]
    for name in ("worker-gpu", "worker-training", "models"):
        assert "models:/models" in services[name]["volumes"]


def test_every_setting_exists(services: Services) -> None:
    known = {f"XRAYGPT_{name.upper()}" for name in Settings.model_fields}
    for name, service in services.items():
        assert set(settings_of(service)) <= known, name


@pytest.mark.parametrize("name", sorted(READS_SETTINGS))
def test_every_process_is_given_the_settings_it_refuses_to_start_without(
    services: Services, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in settings_of(services[name]).items():
        monkeypatch.setenv(variable, str(value))
    read_settings(FlowerSettings if name == "flower" else Settings)


def test_migrations_are_given_their_one_setting(services: Services) -> None:
    assert set(settings_of(services["migrate"])) == {"XRAYGPT_DATABASE_URL"}


def test_no_secret_stands_in_the_file(compose: dict[str, Any], services: Services) -> None:
    assert all(secret["file"].startswith("deploy/secrets/") for secret in compose["secrets"].values())
    secret_fields = {f"XRAYGPT_{name.upper()}" for name in Settings.model_fields if name.endswith(("_url", "_key"))}
    secret_fields |= {"XRAYGPT_FLOWER_PASSWORD", "XRAYGPT_WEBHOOK_TOKEN", "XRAYGPT_METRICS_TOKEN", "POSTGRES_PASSWORD"}
    secret_fields -= {"XRAYGPT_S3_ENDPOINT_URL", "XRAYGPT_FLOWER_GATEWAY_URL", "XRAYGPT_FLOWER_URL"}
    nowhere = {
        "XRAYGPT_DATABASE_URL": "postgresql://nobody@nowhere/none",
        "XRAYGPT_REDIS_URL": "redis://nowhere:6379/0",
    }
    for name, service in services.items():
        inline = secret_fields & set(service.get("environment", {}))
        assert {field: service["environment"][field] for field in inline}.items() <= nowhere.items(), name


def test_every_secret_is_declared_and_used(compose: dict[str, Any], services: Services) -> None:
    used = {one if isinstance(one, str) else one["source"] for s in services.values() for one in s.get("secrets", [])}
    assert used == set(compose["secrets"])


def test_secrets_stay_out_of_the_repository_and_the_image(root: Path) -> None:
    assert "deploy/secrets/" in (root / ".gitignore").read_text().split()
    ignored = (root / ".dockerignore").read_text().split("\n")
    assert "*" in ignored
    assert not any("secrets" in line for line in ignored if line.startswith("!"))


def test_flower_is_the_one_that_hides_its_metrics(services: Services) -> None:
    assert services["flower"]["command"] == ["python", "-m", "xraygpt.stack.servers.flower"]


def test_workers_are_given_more_time_to_stop_than_they_take(services: Services) -> None:
    for name in WORKERS:
        given = {"XRAYGPT_DRAIN_SECONDS": str(services[name]["environment"]["XRAYGPT_DRAIN_SECONDS"])}
        assert seconds(services[name]["stop_grace_period"]) > worker_patience(given), name


def test_workers_answer_where_prometheus_asks(services: Services) -> None:
    for name in WORKERS:
        port = services[name]["environment"]["XRAYGPT_METRICS_PORT"]
        assert services[name]["healthcheck"]["test"][-1] == f"{port}/metrics"


def test_the_webhook_watches_the_bucket_that_is_read(services: Services) -> None:
    bucket = services["gateway"]["environment"]["XRAYGPT_BUCKET"]
    assert services["s3"]["environment"]["WEBHOOK_BUCKET"] == bucket
    assert services["s3"]["environment"]["WEBHOOK_URL"] == "http://gateway:8000/v1/events/s3"


def test_postgres_keeps_values_out_of_its_log_as_the_embedded_one_does(services: Services, root: Path) -> None:
    embedded = (root / "xraygpt/stack/servers/postgres.py").read_text()
    for option in services["postgres"]["command"][1:]:
        name, _, value = option.removeprefix("-c").partition("=")
        assert f'"{name}": "' in embedded
        if name.startswith("log_"):
            assert f'"{name}": "{value}"' in embedded


def test_every_named_volume_is_declared(compose: dict[str, Any], services: Services) -> None:
    named = {
        v.partition(":")[0] for s in services.values() for v in s.get("volumes", []) if not v.startswith((".", "/"))
    }
    assert named == set(compose["volumes"])


def test_every_file_that_is_mounted_exists(services: Services, root: Path) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                host, _, mode = volume.split(":")
                assert (root / host).is_file()
                assert mode == "ro"


def test_the_overlay_of_a_model_server_is_valid_compose(model_server: dict[str, Any], schema: Any) -> None:
    jsonschema.validate(model_server, schema)


def test_only_the_gpu_worker_reaches_a_model_server_and_holds_its_key(model_server: dict[str, Any]) -> None:
    ((name, added),) = model_server["services"].items()
    assert (name, added["networks"]) == ("worker-gpu", ["out"])
    assert added["secrets"] == [{"source": "server_key", "target": "XRAYGPT_SERVER_KEY"}]


def test_the_overlay_gives_the_gpu_to_those_who_have_torch(services: Services, gpu_overlay: dict[str, Any]) -> None:
    for name, added in gpu_overlay["services"].items():
        assert services[name]["build"]["target"] == "gpu"
        (device,) = added["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
    assert gpu_overlay["services"]["worker-gpu"]["environment"] == {"XRAYGPT_DEVICE": "cuda"}
