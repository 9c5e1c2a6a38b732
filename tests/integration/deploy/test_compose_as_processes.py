"""docker-compose.yml as it would run: each service's own command, user, secrets, networks, health check and signal.

Containers themselves have never been run: there is no engine here. What is checked is what stands in the YAML and can
be done without one (tests/support/compose_engine.py), with one study on its way through all of it.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.compose_engine import Engine, lacking, open_for_all
from tests.support.compose_file import ROOT, load
from tests.support.compose_plan import Plan
from tests.support.s3_tools import s3_client
from tests.support.worker_bench import make_film
from tests.unit.deploy.test_reach import MEANT
from xraygpt_core.paths import models_dir

SERVERS = ("postgres", "redis", "s3")
ONCE = ("migrate", "prepare", "models")
STAY = ("gateway", "worker-ingest", "worker-gpu", "worker-training", "control", "flower")
PORTS = {"postgres": 5432, "redis": 6379, "s3": 8333, "gateway": 8000, "flower": 5555, "prometheus": 9090}
# deploy/settings.env: a bundle that is small, and threads that do not fight for two cores.
SETTINGS = {"XRAYGPT_BUNDLE": "tiny", "XRAYGPT_DEVICE": "cpu", "XRAYGPT_SETTLE_SECONDS": "1", "OMP_NUM_THREADS": "1"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Everything up and healthy, in the order that `depends_on` asks for."""
    directory = tmp_path_factory.mktemp("compose")
    if why := lacking(tmp_path_factory.mktemp("tried")):
        pytest.skip(why)
    open_for_all(directory)
    subprocess.run(["sh", str(ROOT / "deploy/make-secrets.sh"), str(directory / "secrets")], check=True)
    engine = Engine(Plan(directory, load("docker-compose.yml"), directory / "secrets", SETTINGS))
    models(directory / "volumes" / "models")
    try:
        for name in SERVERS:
            engine.up(name)
        for name in SERVERS:
            engine.until_healthy(name)
        for name in ONCE:
            done = engine.run(name)
            assert engine.ended[name] == 0, f"{name}: {done.output()}"
        for name in STAY:
            engine.up(name)
        for name in STAY:
            engine.until_healthy(name)
        engine.up("prometheus")
        engine.until_healthy("prometheus")
        yield engine
        ends(engine)
    finally:
        engine.close()


def ends(engine: Engine) -> None:
    """Each by its signal within its grace, and well: who needs others goes first. One that was killed ends with -9.

    Here, and not in a test, which would be followed by others in an order of chance.
    """
    names = ("prometheus", *STAY, *SERVERS)
    eventually(lambda: "bundle loaded" in engine.running["worker-gpu"].output(), "the GPU worker has loaded its bundle")
    engine.stop("prometheus", *STAY)
    engine.stop(*SERVERS)
    assert {name: engine.ended[name] for name in names} == dict.fromkeys(names, 0)


def models(volume: Path) -> None:
    """The volume as a former start left it: the demo bundle is there and need not be fetched; and a small one."""
    from tests.support.tiny_bundle import make_tiny_bundle  # torch, only where this test is not skipped

    volume.mkdir(parents=True)
    for name in ("base", "demo"):
        shutil.copytree(models_dir() / name, volume / name)
    make_tiny_bundle(volume, "tiny", max_new_tokens=4)
    for path in (volume, *volume.rglob("*")):
        os.chown(path, 10001, 10001)  # who fetched them


@pytest.fixture(scope="module")
def key(engine: Engine) -> str:
    """An API key, made as the first lines of docker-compose.yml say."""
    words = ["python", "-m", "api_gateway", "create-key", "--name", "PACS team"]
    words += [part for role in ("operator", "reader", "analyst") for part in ("--role", role)]
    done = engine.run("gateway", words)
    assert engine.ended["gateway"] == 0, done.output()
    return next(word for word in done.output().split() if word.startswith("xgpt_"))


@pytest.fixture
def gateway(engine: Engine, key: str) -> Iterator[httpx.Client]:
    """A client beside the gateway, as a proxy would be."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        engine.on_the_network_of("gateway"),
        httpx.Client(base_url="http://127.0.0.1:8000", headers=headers, timeout=60, trust_env=False) as client,
    ):
        yield client


def eventually(look: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return seen


def test_one_study_goes_through_all_of_them(gateway: httpx.Client) -> None:
    film = make_film(1)
    name = hashlib.sha256(film).hexdigest()
    uri = gateway.put(f"/v1/uploads/{name}", content=film).raise_for_status().json()["uri"]
    taken = gateway.post("/v1/studies", json={"objects": [{"uri": uri}]}).raise_for_status().json()
    study = f"/v1/studies/{taken['images'][0]['study_id']}"

    def summarised() -> bool:
        return bool(gateway.get(study).raise_for_status().json()["state"] == "summarised")

    eventually(summarised, "the study is summarised")
    assert gateway.get(f"{study}/preview.png").raise_for_status().content.startswith(b"\x89PNG")
    turn = gateway.post(f"{study}/chat", json={"question": "Is the heart enlarged?"}).raise_for_status().json()
    eventually(lambda: gateway.get(f"/v1/turns/{turn['turn_id']}").json()["state"] == "done", "it is answered")
    rows = gateway.post("/v1/query", json={"sql": "SELECT count(*) FROM study_summaries"}).raise_for_status().json()
    assert rows["rows"][0][0] >= 1


def test_the_bucket_tells_the_gateway_of_an_upload(engine: Engine, gateway: httpx.Client) -> None:
    keys = [(engine.plan.secrets / f"s3_{part}").read_text() for part in ("access_key", "secret_key")]
    before = len(gateway.get("/v1/studies").raise_for_status().json()["studies"])
    with contextlib.closing(s3_client(f"http://{engine.plan.address('s3', 'bucket')}:8333", *keys)) as hospital:
        hospital.put_object(Bucket="xraygpt-source", Key="DOE^JANE/2.dcm", Body=make_film(2))
    eventually(lambda: len(gateway.get("/v1/studies").json()["studies"]) > before, "the upload is a study")
    assert not [name for name in engine.running if "DOE" in engine.running[name].output()]


@pytest.mark.parametrize("server", sorted(PORTS))
def test_a_server_is_reached_from_the_networks_it_is_meant_for_alone(engine: Engine, server: str) -> None:
    found = set()
    for name in engine.running:
        shared = [one for one in engine.services[server]["networks"] if one in engine.services[name]["networks"]]
        looked = [
            name
            for network in engine.services[server]["networks"]
            if engine.reaches(name, server, network, PORTS[server])
        ]
        assert bool(looked) == bool(shared), name
        found |= set(looked) - {server}
    assert found == MEANT[server] - {"worker-events", *ONCE}


@pytest.mark.parametrize("name", [*SERVERS, *STAY, "prometheus"])
def test_a_container_is_its_user_may_nothing_and_writes_nowhere(engine: Engine, name: str) -> None:
    status = engine.exec(name, ["cat", "/proc/1/status"]).stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    user = engine.services[name]["user"].partition(":")[0]
    assert facts["Uid"].split() == [user] * 4
    assert {facts[one] for one in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    for folder in ("/", "/etc", "/opt", "/usr/local/bin", "/run/secrets"):
        assert engine.exec(name, ["touch", f"{folder}/written"]).returncode != 0, folder
    mounted = engine.exec(name, ["ls", "/run/secrets"]).stdout.split()
    assert engine.exec(name, ["sh", "-c", "cat /run/secrets/*"]).returncode == (0 if mounted else 1)


@pytest.mark.parametrize("name", [*SERVERS, *STAY, "prometheus"])
def test_no_secret_is_in_an_argument(engine: Engine, name: str) -> None:
    values = [file.read_text() for file in engine.plan.secrets.iterdir()]
    shown = engine.exec(name, ["sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout
    assert not [value for value in values if value in shown]


def test_prometheus_is_let_in_everywhere_it_asks(engine: Engine) -> None:
    lines = [line for line in engine.running["prometheus"].output().splitlines() if "GET" not in line]
    said = dict(line.split(" ", 1) for line in lines)
    assert said.pop("worker-events:9100") != "True"  # which is not started without its profile
    assert said == dict.fromkeys(said, "True")
    assert len(said) == 5


def test_metrics_are_shown_to_nobody_without_the_token(engine: Engine) -> None:
    for name, port in (("gateway", 8000), ("worker-ingest", 9100), ("control", 9100)):
        with engine.on_the_network_of("prometheus"):
            answer = httpx.get(
                f"http://{engine.plan.address(name, 'metrics')}:{port}/metrics", trust_env=False, timeout=20
            )
        assert answer.status_code == 401, name
