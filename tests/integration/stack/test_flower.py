"""Flower beside a broker: it asks the workers, and ends while it does."""

from collections.abc import Iterator

import pytest

from tests.support.flower_process import FlowerProcess, running_flower


@pytest.fixture
def flower(redis_url: str) -> Iterator[FlowerProcess]:
    with running_flower(redis_url) as started:
        yield started


def test_it_asks_the_workers_everything_it_shows_at_once(flower: FlowerProcess) -> None:
    """Each question takes two connections to the broker; with too few of them none would ever be answered."""
    answer = flower.client.get("/api/workers", params={"refresh": "true"})
    assert (answer.status_code, answer.json()) == (200, {})


def test_it_ends_though_it_is_just_asking_the_workers(flower: FlowerProcess) -> None:
    flower.process.terminate()
    assert flower.process.wait(120) == 0
