"""The order of dialogues: each once in an epoch, anew in each, and the same for the same seed and step."""

from training_jobs.language.order import Shuffled


def test_an_epoch_has_each_dialogue_once() -> None:
    order = Shuffled(range(100), 10, seed=1)
    assert sorted(index for step in range(order.steps) for index in order.batch(step)) == list(range(100))


def test_each_epoch_has_another_order_and_each_seed() -> None:
    order = Shuffled(range(100), 10, seed=1)
    assert order.batch(0) != order.batch(order.steps) != Shuffled(range(100), 10, seed=2).batch(0)


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    one, two = Shuffled(range(50), 8, seed=3), Shuffled(range(50), 8, seed=3)
    forward = [one.batch(step) for step in range(20)]
    assert [two.batch(step) for step in reversed(range(20))] == forward[::-1]


def test_a_batch_begins_with_its_shortest() -> None:
    sizes = [5, 1, 4, 2, 3, 9, 7, 8]
    for step in range(2):
        lengths = [sizes[index] for index in Shuffled(sizes, 4, seed=0).batch(step)]
        assert lengths == sorted(lengths)


def test_fewer_dialogues_than_a_batch_come_more_than_once() -> None:
    order = Shuffled([1, 2, 3], 8, seed=0)
    assert order.steps == 1
    assert len(order.batch(0)) == 8
    assert set(order.batch(0)) == {0, 1, 2}
