"""Small files that would cost much end within a second of CPU, and films as large as they come do not notice."""

import struct
from contextlib import suppress

import numpy as np
import pytest

from tests.support.films import bombs
from tests.support.sandbox_tools import LIMITS
from xraygpt_core.dicom import header_budget
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.parse import is_dicom, parse
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

MEGABYTE = bombs.bombs(2**20)
NAMES = list(MEGABYTE)
# Where less than the budget is read, the rest of the file decides.
HARMLESS = {"nested by length", "nested in items by length", "small elements", "blanks for a VR", "marks of pixels"}
HARMLESS |= {"numbers", "elements of group 2"}


def cost(sandbox: Sandbox, ask, data: bytes) -> tuple[float, Rejected | None]:
    """CPU seconds of the decoding process, and what it said."""
    with pytest.raises(Rejected):
        ask(b"DICM")  # it is there
    pid, before = sandbox.pid, sandbox._child._used()[1]
    try:
        ask(data)
        said = None
    except Rejected as rejection:
        said = rejection
    assert sandbox.pid == pid, "it lives"
    return sandbox._child._used()[1] - before, said


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_of_a_megabyte_ends_within_a_second(sandbox, name):
    seconds, said = cost(sandbox, sandbox.normalise, MEGABYTE[name])
    assert seconds < 1
    assert said is not None or name in HARMLESS
    assert said is None or said.reason in (ReasonCode.TOO_LARGE, ReasonCode.UNDECODABLE, ReasonCode.TRUNCATED)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_one_of_sixty_four_costs_hardly_more(name):
    files = bombs.bombs(2**26)
    for start, ask in ((Sandbox, Sandbox.normalise), (header_sandbox, Sandbox.identify)):
        with start(LIMITS) as started:
            with pytest.raises(Rejected):
                started.normalise(b"") if start is Sandbox else started.identify(bombs.file(b""))
            before = started._child._used()[1]
            with suppress(Rejected):
                ask(started, files[name])
            assert started._child._used()[1] - before < 2


def test_the_reason_names_no_value_of_the_header(sandbox):
    _, said = cost(sandbox, sandbox.normalise, MEGABYTE["items"])
    assert (said.reason, said.detail) == (ReasonCode.TOO_LARGE, "the header has more elements than any film's")


def test_a_film_may_have_ten_thousand_private_elements_and_items(make_dicom):
    """Ten times as many as the richest header among those we have."""
    film = make_dicom()
    mark = film.index(struct.pack("<HH", 0x7FE0, 0x10))
    group = b"".join(bombs.element(0x0041, 0x1000 + number, b"LO", b"value ") for number in range(10_000))
    items = bombs.STEP + b"SQ\0\0" + bombs.UNDEFINED + (bombs.ITEM + bytes(4)) * 10_000
    rich = film[:mark] + items + bombs.SEQUENCE_END + bytes(4) + group + film[mark:]
    assert normalise(rich, LIMITS).view == "PA"


def test_a_film_of_a_hundred_megabytes_costs_no_more_steps_than_a_small_one(make_dicom, film):
    limits = Limits(64_000_000, 30.0, 2**31)
    steps = []
    for pixels in (film, np.tile(film, (29, 30))):
        with header_budget.header_budget() as spent:
            data = make_dicom(pixels)
            assert is_dicom(data)
            parse(data, limits)
            steps.append(header_budget.MOST_STEPS - spent.left)
    assert len(data) > 100e6
    assert steps[0] == steps[1] < 500


def test_time_counts_where_steps_do_not(monkeypatch):
    clock = iter([0.0, *[10.0] * 9])
    monkeypatch.setattr(header_budget.time, "thread_time", lambda: next(clock))
    with (
        header_budget.header_budget(),
        header_budget.parse_clock(),
        pytest.raises(Rejected, match="takes longer") as caught,
    ):
        header_budget.spend(2000)
    assert caught.value.reason is ReasonCode.TOO_LARGE


def test_without_a_budget_nothing_is_counted():
    header_budget.spend(10**9)
