"""Fixtures of the tests of a whole stack."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.supervised_stack import Stack
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    stacks: list[Stack] = []

    def start(replaced: dict[str, str] | None = None, **settings: str) -> Stack:
        stacks.append(Stack(tmp_path / "home", replaced, **settings))
        return stacks[-1]

    yield start
    for stack in stacks:
        stack.end()


@pytest.fixture
def external(postgres: Postgres, broker: Broker, object_server: ObjectServer) -> dict[str, str]:
    """Settings that name services which run already: a stack on them starts in a second."""
    return {
        "XRAYGPT_DATABASE_URL": postgres.url,
        "XRAYGPT_REDIS_URL": broker.url,
        "XRAYGPT_S3_ENDPOINT_URL": object_server.url,
        "XRAYGPT_S3_ACCESS_KEY": object_server.access_key,
        "XRAYGPT_S3_SECRET_KEY": object_server.secret_key,
        "XRAYGPT_BUCKET": "their-films",
        "XRAYGPT_DERIVED_BUCKET": "our-images",
    }
