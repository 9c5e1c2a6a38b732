"""The watch for another bundle, without a database."""

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.support.postgres_errors import DISK_FULL, server_error
from workers.serving import watch
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.training.serving import ServedBundle

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
