"""Films with one or two faults and a right picture that is known: exact, refused for a true reason, or flagged."""

import sys
from itertools import count

import numpy as np
import pytest

from tests.support.films.verdict import film, grey_of, judge
from xraygpt_core.states import Flag

SHORT, LONG = 100, 2000


def hold(sandbox, seeds):
    counts, wrong = judge(sandbox, seeds)
    sys.stdout.write(f"films {seeds.start} to {seeds.stop - 1}: {dict(counts)}\n")
    assert not wrong, "\n".join(wrong)
    return counts


def film_with(fault):
    """The first film that this fault fits, and no other fault."""
    return next(made for made in (film(seed, {fault}) for seed in count()) if fault in made.about)


def test_a_mutated_film_is_exact_or_refused_or_flagged(sandbox):
    counts = hold(sandbox, range(SHORT))
    assert counts["exact"] > SHORT // 2


@pytest.mark.long
def test_two_thousand_mutated_films_are_exact_or_refused_or_flagged(sandbox):
    counts = hold(sandbox, range(SHORT, SHORT + LONG))
    assert counts["exact"] > LONG // 2


@pytest.mark.parametrize(
    "fault",
    [
        "planes_of_bytes_in_the_other_order", "bytes_swapped_in_pairs", "pixels_in_the_other_byte_order",
        "voi_lut_in_the_other_byte_order", "voi_lut_of_bytes_under_more_bits", "words_under_8_allocated",
        "grey_as_three_components", "planes_under_the_other_configuration", "palette_of_8_under_16_bits",
    ],
)  # fmt: skip
def test_what_once_was_a_calm_wrong_picture_is_exact_and_told(sandbox, fault):
    made = film_with(fault)
    image = sandbox.normalise(made.data)
    assert np.abs(grey_of(image).astype(int) - made.expected).mean() <= made.tolerance
    assert Flag.HEADER_CONTRADICTS_PIXELS in image.flags


def test_a_film_comes_back_from_its_seed():
    assert film(7).data == film(7).data
    assert film(7).data != film(8).data


def test_rows_that_reach_into_a_second_picture_of_colours_are_told(sandbox):
    made = film(57, {"rows_that_do_not_fit_the_length", "a_second_frame_s_worth_of_bytes"})
    assert made.about == "RGB u8 .1: a_second_frame_s_worth_of_bytes + rows_that_do_not_fit_the_length"
    assert Flag.HEADER_CONTRADICTS_PIXELS in sandbox.normalise(made.data).flags
