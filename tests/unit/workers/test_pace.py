"""How many jobs a thread takes at once."""

from workers.pace import BATCH_SECONDS, MOST, Pace


def test_nobody_knows_at_first_how_long_a_job_takes() -> None:
    assert Pace().limit == 1


def test_long_jobs_are_taken_one_by_one() -> None:
    pace = Pace()
    for _ in range(5):
        pace.note(2.0, 1)
    assert pace.limit == 1


def test_short_jobs_are_taken_by_the_quarter_second() -> None:
    pace = Pace()
    for _ in range(10):
        pace.note(0.01 * pace.limit, pace.limit)
    assert pace.limit == 16
    assert pace.limit * 0.01 <= BATCH_SECONDS


def test_the_number_grows_step_by_step_and_has_an_end() -> None:
    pace, seen = Pace(), []
    for _ in range(6):
        pace.note(0.0001, 1)
        seen.append(pace.limit)
    assert seen == [4, 16, 64, 64, 64, 64]
    assert seen[-1] == MOST


def test_one_slow_job_is_enough_to_take_fewer() -> None:
    pace = Pace()
    for _ in range(6):
        pace.note(0.0001, 1)
    pace.note(3.0, 1)
    assert pace.limit == 1
