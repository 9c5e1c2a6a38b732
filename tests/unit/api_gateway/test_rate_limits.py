"""Budgets and locks, by a clock that the test moves."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter, ValidationError

from api_gateway.rate_limits import CALM_SECONDS, LONGEST_LOCK, MOST_KNOWN, RateLimits, address
from xraygpt_core.errors import TooMany
from xraygpt_core.token_bucket import BudgetSetting, TokenBucket


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> RateLimits:
    names = ("request", "login", "question", "query")
    budgets = {f"limit_{name}": TokenBucket.read("100+100/s") for name in names}
    budgets |= {"limit_lookup": TokenBucket.read("3+30/m"), "limit_wrong_key": TokenBucket.read("2+1/h")}
    return RateLimits(cast(Any, SimpleNamespace(**budgets)), clock)


def wait_of(act: Any, *arguments: Any) -> float:
    with pytest.raises(TooMany) as refused:
        act(*arguments)
    return refused.value.retry_after_seconds


def test_a_budget_lets_through_what_it_says_and_tells_when_there_is_more(limits: RateLimits, clock: Clock) -> None:
    for _ in range(3):
        limits.spend("lookup", "a")
    assert wait_of(limits.spend, "lookup", "a") == pytest.approx(2.0)
    clock.now += 2.0
    limits.spend("lookup", "a")
    assert wait_of(limits.spend, "lookup", "a") == pytest.approx(2.0)


def test_what_is_refused_costs_nothing(limits: RateLimits, clock: Clock) -> None:
    for _ in range(3):
        limits.spend("lookup", "a")
    for _ in range(50):
        wait_of(limits.spend, "lookup", "a")
    clock.now += 2.0
    limits.spend("lookup", "a")


def test_callers_and_kinds_have_budgets_of_their_own(limits: RateLimits) -> None:
    for _ in range(3):
        limits.spend("lookup", "a")
    limits.spend("lookup", "b")
    limits.spend("query", "a")


def test_a_budget_never_grows_above_itself(limits: RateLimits, clock: Clock) -> None:
    limits.spend("lookup", "a")
    clock.now += 86400
    for _ in range(3):
        limits.spend("lookup", "a")
    assert wait_of(limits.spend, "lookup", "a")


def test_more_than_a_whole_budget_is_let_through_when_it_is_full(limits: RateLimits) -> None:
    limits.spend("lookup", "a", 50)
    assert wait_of(limits.spend, "lookup", "a") > 60


def test_wrong_keys_lock_out_for_a_pause_that_doubles(limits: RateLimits, clock: Clock) -> None:
    for _ in range(2):
        assert limits.failed("wrong key", "a") is False
        limits.check("wrong key", "a")
    pauses = []
    for _ in range(12):
        assert limits.failed("wrong key", "a") is True
        pauses.append(wait_of(limits.check, "wrong key", "a"))
        assert limits.failed("wrong key", "a") is False, "it is locked already"
        clock.now += pauses[-1] + 0.1
        limits.check("wrong key", "a")
    assert pauses[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert pauses[-1] == pytest.approx(LONGEST_LOCK)
    limits.check("wrong key", "b")


def test_after_a_calm_while_the_pause_is_short_again(limits: RateLimits, clock: Clock) -> None:
    for _ in range(2):
        for _ in range(3):
            limits.failed("wrong key", "a")
        assert wait_of(limits.check, "wrong key", "a") == pytest.approx(1.0)
        clock.now += 2 * 3600 + CALM_SECONDS


def test_who_sends_from_endless_addresses_fills_no_memory(limits: RateLimits) -> None:
    for sender in range(MOST_KNOWN + 100):
        limits.spend("lookup", sender)
    assert len(limits._left) == MOST_KNOWN


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_is_what_one_site_is_given(host: str, counted: str) -> None:
    assert address(cast(Any, SimpleNamespace(client=SimpleNamespace(host=host)))) == counted


def test_no_address_is_one_too() -> None:
    assert address(cast(Any, SimpleNamespace(client=None))) == "nowhere"


@pytest.mark.parametrize("written", ["", "30", "30/m", "0+1/s", "1+0/s", "-1+1/s", "30+30/d", "30+30/m please"])
def test_a_budget_that_cannot_be_read_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="30\\+20/m"):
        TypeAdapter(BudgetSetting).validate_python(written)


def test_a_budget_is_written_as_it_was(limits: RateLimits) -> None:
    adapter = TypeAdapter(BudgetSetting)
    assert adapter.dump_python(adapter.validate_python("30+20/m")) == "30+20/m"
    assert adapter.validate_python("30+30/m").per_second == 0.5
