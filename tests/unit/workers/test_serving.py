"""Which backend a bundle gets, and the watch for another bundle, without a database."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from tests.support.postgres_errors import DISK_FULL, server_error
from tests.support.vision_server import SmallVision, small_vision, vision_bundle
from workers.serving import load_engine, watch
from xraygpt_core.errors import ConfigurationError, Unavailable
from xraygpt_core.ledger.training.serving import ServedBundle
from xraygpt_core.model.bundle import ServedBy
from xraygpt_core.model.server.backend import ServerEngine

LOADED, OTHER = ServedBundle("demo", None), ServedBundle("better", None)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: ServedBundle | Exception) -> Any:
    """A ledger that gives these answers, one a look."""
    left = iter(answers)

    def served_bundle(_ledger: object) -> ServedBundle:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("workers.serving.served_bundle", served_bundle)
    return SimpleNamespace()


def disk_full() -> Exception:
    return OperationalError("SELECT", {}, server_error(DISK_FULL))


def test_another_bundle_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = threading.Event()
    watch(answering(monkeypatch, LOADED, OTHER), LOADED, changed.set, seconds=0.001)
    assert changed.wait(60)


def test_whatever_the_database_answers_the_watch_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changed = threading.Event()
    ledger = answering(monkeypatch, disk_full(), Unavailable("down"), disk_full(), LOADED, disk_full(), OTHER)
    watch(ledger, LOADED, changed.set, seconds=0.001)
    assert changed.wait(60)
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 2, "once for each time of trouble"


@pytest.fixture
def server() -> Iterator[SmallVision]:
    with small_vision() as made:
        yield made


def loaded(monkeypatch: pytest.MonkeyPatch, bundle: Any, **settings: Any) -> Any:
    """The backend that a worker with these settings loads for a bundle."""
    given = {"bundle": "vision", "models": Path(), "verify": "quick", "batch_size": 2, "stall_seconds": 120.0}
    given |= {"vllm_url": None, "vllm_key": None, "server_key": None} | settings
    monkeypatch.setattr("workers.serving.start_serving", lambda *_: None)
    monkeypatch.setattr("workers.serving.served_bundle", lambda _: LOADED)
    monkeypatch.setattr("workers.serving.served", lambda *_: bundle)
    context: Any = SimpleNamespace(settings=SimpleNamespace(**given), ledger=None, store=None)
    return load_engine(context)[0]


def test_a_bundle_of_a_server_is_served_by_it(
    monkeypatch: pytest.MonkeyPatch, server: SmallVision, tmp_path: Path
) -> None:
    with closing(loaded(monkeypatch, vision_bundle(tmp_path, server.url))) as engine:
        assert isinstance(engine, ServerEngine)


def test_the_key_of_the_settings_is_the_servers(
    monkeypatch: pytest.MonkeyPatch, server: SmallVision, tmp_path: Path
) -> None:
    server.key = "sesame"
    bundle = vision_bundle(tmp_path, server.url, api_key_env="XRAYGPT_SERVER_KEY")
    loaded(monkeypatch, bundle, server_key=SecretStr("sesame")).close()
    with pytest.raises(ConfigurationError, match="refuses us"):
        loaded(monkeypatch, bundle, server_key=SecretStr("open"))


def test_a_server_without_the_model_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, server: SmallVision, tmp_path: Path
) -> None:
    server.model = "qwen"
    with pytest.raises(ConfigurationError, match="it has qwen"):
        loaded(monkeypatch, vision_bundle(tmp_path, server.url))


def test_a_server_that_may_be_silent_for_longer_than_a_job_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, server: SmallVision, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_STALL_SECONDS"):
        loaded(monkeypatch, vision_bundle(tmp_path, server.url, timeout=120.0))


def test_a_bundle_of_vllm_without_its_address_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = SimpleNamespace(name="mine", served_by=ServedBy.VLLM)
    with pytest.raises(ConfigurationError, match="XRAYGPT_VLLM_URL"):
        loaded(monkeypatch, bundle)
