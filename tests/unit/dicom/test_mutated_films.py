"""Films with one or two faults and a right picture that is known: exact, refused for a true reason, or flagged."""

import sys

import pytest

from tests.films.verdict import judge

SHORT, LONG = 100, 2000


def hold(sandbox, seeds):
    counts, wrong = judge(sandbox, seeds)
    sys.stdout.write(f"films {seeds.start} to {seeds.stop - 1}: {dict(counts)}\n")
    assert not wrong, "\n".join(wrong)
    return counts


def test_a_mutated_film_is_exact_or_refused_or_flagged(sandbox):
    counts = hold(sandbox, range(SHORT))
    assert counts["exact"] > SHORT // 2


@pytest.mark.long
def test_two_thousand_mutated_films_are_exact_or_refused_or_flagged(sandbox):
    counts = hold(sandbox, range(SHORT, SHORT + LONG))
    assert counts["exact"] > LONG // 2
