"""As whom PostgreSQL runs; it refuses root, and users without an account."""

import subprocess
from collections.abc import Iterator

import pytest

from xraygpt.stack.servers import postgres
from xraygpt.stack.servers.postgres import NOBODY_NAMESPACE, identity

NO_ACCOUNT = 3_999_999_999


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    identity.cache_clear()
    yield
    identity.cache_clear()


def as_user(monkeypatch: pytest.MonkeyPatch, user: int, *, namespaces: bool) -> tuple[tuple[str, ...], int | None]:
    done = subprocess.CompletedProcess([], 0 if namespaces else 1)
    monkeypatch.setattr(postgres.os, "geteuid", lambda: user)
    monkeypatch.setattr(postgres.subprocess, "run", lambda *_, **__: done)
    return identity()


def test_a_normal_user_stays_what_he_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_user(monkeypatch, 65534, namespaces=True) == ((), None)


@pytest.mark.parametrize("user", [0, NO_ACCOUNT])
def test_root_and_a_user_without_account_become_nobody_in_a_namespace(
    monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    assert as_user(monkeypatch, user, namespaces=True) == (NOBODY_NAMESPACE, None)


def test_root_without_namespaces_becomes_the_real_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_user(monkeypatch, 0, namespaces=False) == ((), 65534)


def test_a_user_without_account_cannot_become_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_user(monkeypatch, NO_ACCOUNT, namespaces=False) == ((), None)
