"""Places for what may only be done so often at once."""

import asyncio

import pytest

from api_gateway.concurrency import ConcurrencyLimit
from xraygpt_core.errors import TooMany


async def hold(slots: ConcurrencyLimit, who: str, until: asyncio.Event, held: list[str]) -> None:
    async with slots.slot(who):
        held.append(who)
        await until.wait()


def test_one_caller_leaves_room_for_another_and_the_rest_wait() -> None:
    async def act() -> list[str]:
        slots, until, held = ConcurrencyLimit(3, 2, 0.05, "full"), asyncio.Event(), list[str]()
        tasks = [asyncio.create_task(hold(slots, who, until, held)) for who in ("a", "a", "a", "b", "c")]
        done = await asyncio.gather(
            *(asyncio.wait_for(asyncio.shield(task), 0.5) for task in tasks), return_exceptions=True
        )
        assert [isinstance(one, TooMany) for one in done] == [False, False, True, False, True]
        until.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not slots._of, "nothing is kept of who has gone"
        async with slots.slot("a"), slots.slot("a"), slots.slot("b"):
            return held

    assert sorted(asyncio.run(act())) == ["a", "a", "b"]


def test_who_waits_gets_the_place_that_becomes_free() -> None:
    async def act() -> list[str]:
        slots, until, held = ConcurrencyLimit(1, 1, 20, "full"), asyncio.Event(), list[str]()
        tasks = [asyncio.create_task(hold(slots, who, until, held)) for who in ("a", "b")]
        await asyncio.sleep(0)
        until.set()
        await asyncio.gather(*tasks)
        return held

    assert asyncio.run(act()) == ["a", "b"]


def test_a_refusal_says_when_to_come_back() -> None:
    async def act() -> None:
        slots = ConcurrencyLimit(1, 1, 0.01, "full")
        async with slots.slot("a"), slots.slot("b"):
            pass

    with pytest.raises(TooMany, match="full") as refused:
        asyncio.run(act())
    assert refused.value.retry_after_seconds >= 1
