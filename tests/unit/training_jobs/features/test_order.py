"""The order of a stream: every pair once in a pass, sets by their weights, nothing but seed and step decides."""

from collections import Counter
from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.features.order import Order, SetRows

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**32 - 1)


def sets_of(sizes: list[int], weights: list[float] | None = None, shard: int = 4) -> list[SetRows]:
    """Consecutive numbers: the first set has the first ones."""
    starts = np.cumsum([0, *sizes])
    return [
        SetRows(
            np.arange(start, start + size, dtype=np.int32),
            (np.arange(size) // shard).astype(np.int32),
            1.0 if weights is None else weights[number],
        )
        for number, (start, size) in enumerate(zip(starts, sizes, strict=False))
    ]


def drawn(order: Order, start: int, end: int) -> list[int]:
    return [int(pair) for step in range(start, end) for pair in order.batch(step)]


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, batch=st.integers(1, 70), seed=SEEDS, bucketed=st.booleans(), passes=st.integers(1, 4))
def test_every_pair_comes_once_in_a_pass_where_weights_are_equal(
    sizes: list[int], batch: int, seed: int, bucketed: bool, passes: int
) -> None:
    lengths = np.arange(sum(sizes)) * 7919 % 31 if bucketed else None
    order = Order(sets_of(sizes), batch=batch, seed=seed, lengths=lengths)
    steps = ceil(passes * sum(sizes) / batch)
    times = Counter(drawn(order, 0, steps))
    assert set(times) == set(range(sum(sizes)))
    surplus = steps * batch - passes * sum(sizes)
    assert sum(times.values()) == passes * sum(sizes) + surplus
    assert min(times.values()) >= passes
    if surplus < sum(sizes):
        assert max(times.values()) <= passes + 1


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, batch=st.integers(1, 70), seed=SEEDS, bucketed=st.booleans(), data=st.data())
def test_a_stream_that_begins_anywhere_goes_on_as_one_that_began_at_the_start(
    sizes: list[int], batch: int, seed: int, bucketed: bool, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.sampled_from([0.1, 0.5, 1.0, 3.0]), min_size=len(sizes), max_size=len(sizes)))
    lengths = np.arange(sum(sizes)) * 7919 % 31 if bucketed else None
    whole = Order(sets_of(sizes, weights), batch=batch, seed=seed, lengths=lengths)
    first = data.draw(st.integers(0, 50))
    before = [whole.batch(step).tolist() for step in range(first + 5)]
    resumed = Order(sets_of(sizes, weights), batch=batch, seed=seed, lengths=lengths)
    assert [resumed.batch(step).tolist() for step in range(first, first + 5)] == before[first:]


@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, seed=SEEDS, data=st.data())
def test_sets_are_drawn_by_their_weights(sizes: list[int], seed: int, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.sampled_from([0.1, 0.5, 1.0, 3.0]), min_size=len(sizes), max_size=len(sizes)))
    sets = sets_of(sizes, weights)
    pairs = np.array(drawn(Order(sets, batch=25, seed=seed), 0, 200))
    total = sum(weight * size for weight, size in zip(weights, sizes, strict=True))
    times = Counter(pairs.tolist())
    for one in sets:
        share = one.weight * len(one.pairs) / total
        found = sum(times[pair] for pair in one.pairs.tolist())
        assert abs(found - share * len(pairs)) <= len(sizes) + 25 * len(sizes) ** 2**0.5 + 60


def test_within_a_set_of_any_weight_every_pair_comes_equally_often() -> None:
    times = Counter(drawn(Order(sets_of([10, 30], [6.0, 1.0]), batch=10, seed=3), 0, 900))
    rare, often = [times[pair] for pair in range(10, 40)], [times[pair] for pair in range(10)]
    assert max(often) - min(often) <= 1
    assert max(rare) - min(rare) <= 1
    assert abs(min(often) / min(rare) - 6) < 0.3


def test_another_seed_is_another_order() -> None:
    one, other = (Order(sets_of([64]), batch=64, seed=seed).batch(0).tolist() for seed in (1, 2))
    assert one != other
    assert sorted(one) == sorted(other)


def test_one_pass_is_not_the_order_of_the_next() -> None:
    order = Order(sets_of([64]), batch=64, seed=1)
    assert order.batch(0).tolist() != order.batch(1).tolist()


def test_reads_stay_within_a_window_of_shards() -> None:
    [rows] = sets_of([4000], shard=10)
    order = Order([rows], batch=100, seed=0)
    for step in range(40):
        assert len(set(rows.shards[order.batch(step)].tolist())) <= 2 * 16


def test_batches_have_texts_of_like_length_where_that_is_asked_for() -> None:
    lengths = np.random.default_rng(0).integers(0, 500, 4000)
    spreads = [
        np.mean([np.ptp(lengths[order.batch(step)]) for step in range(100)])
        for order in (
            Order(sets_of([4000]), batch=16, seed=0),
            Order(sets_of([4000]), batch=16, seed=0, lengths=lengths),
        )
    ]
    assert spreads[1] < spreads[0] / 10


def test_long_and_short_batches_do_not_follow_each_other_in_order() -> None:
    lengths = np.arange(4000)
    order = Order(sets_of([4000]), batch=16, seed=0, lengths=lengths)
    means = [float(lengths[order.batch(step)].mean()) for step in range(32)]
    assert means != sorted(means)


def test_a_batch_may_be_larger_than_everything_there_is() -> None:
    times = Counter(drawn(Order(sets_of([3]), batch=10, seed=0), 0, 3))
    assert times == {0: 10, 1: 10, 2: 10}


def test_a_step_far_away_costs_what_the_first_one_costs() -> None:
    order = Order(sets_of([3, 5], [1.0, 0.37]), batch=16, seed=0)
    assert len(order.batch(10**6)) == 16
