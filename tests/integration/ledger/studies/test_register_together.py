"""Several processes announce the same new objects at the same time: events, a listing, a sweep."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest

from tests.support.ledger_tools import no_errors, one, together
from xraygpt_core.ledger.studies import register
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

pytestmark = pytest.mark.usefixtures("sound")

PAGE = 200


def refs(count: int, *, etag: str = "e", start: int = 0) -> list[ObjectRef]:
    return [ObjectRef("b", f"in/{number:05}.dcm", etag) for number in range(start, start + count)]


def listed(ledger: Ledger, objects: Sequence[ObjectRef]) -> Callable[[], list[Registered]]:
    return lambda: register_objects(ledger, objects, Lane.BACKLOG, actor="backlog")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many objects each insertion was tried with."""
    tried: list[int] = []
    add = register._add

    def counted(ledger: Ledger, work: object, some: Sequence[ObjectRef], *more: object, **how: Any) -> object:
        if some:
            tried.append(len(some))
        return add(ledger, work, some, *more, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(register, "_add", counted)
    return tried


def test_pages_that_overlap_register_each_object_once(ledger: Ledger) -> None:
    pages = [refs(PAGE, start=start) for start in (0, 50, 100, 150)]
    found = no_errors(together(*[listed(ledger, page) for page in pages]))
    images = {ref.identity: {each.image_id for each in _of(found, pages, ref)} for ref in refs(350)}
    assert all(len(ids) == 1 for ids in images.values())
    assert one(ledger, "SELECT count(*) FROM images") == 350
    assert one(ledger, "SELECT count(*) FROM studies") == 350
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'ingest'") == 350
    assert one(ledger, "SELECT count(*) FROM timeline WHERE what = 'registered'") == 350


def _of(found: list[list[Registered]], pages: list[list[ObjectRef]], ref: ObjectRef) -> list[Registered]:
    return [
        row for rows, page in zip(found, pages, strict=True) for row, one in zip(rows, page, strict=True) if one == ref
    ]


def test_a_page_begins_again_once_whatever_somebody_else_registers_of_it_meanwhile(
    ledger: Ledger, begun: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time the page has looked at what is known, and before it inserts, an event commits one of its objects."""
    find, announced = register.find_known, iter([7, 8, 9])

    def beaten(work: object, some: Sequence[ObjectRef]) -> object:
        known = find(work, some)  # type: ignore[arg-type]
        if len(some) == PAGE and (place := next(announced, None)) is not None:
            no_errors(together(lambda: register_objects(ledger, [some[place]], Lane.ROUTINE, actor="event")))
        return known

    monkeypatch.setattr(register, "find_known", beaten)
    found = listed(ledger, refs(PAGE))()
    assert [size for size in begun if size > 1] == [PAGE, PAGE - 1]
    assert [row.new for row in found] == [place not in (7, 8) for place in range(PAGE)]
    assert one(ledger, "SELECT count(*) FROM images") == PAGE
    assert one(ledger, "SELECT count(*) FROM studies") == PAGE, "what was lost leaves no study behind"


def test_two_contents_of_a_key_share_their_study_though_somebody_else_registers_the_first(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, announced = register.find_known, Event()
    old, new = ObjectRef("b", "in/a.dcm", "old"), ObjectRef("b", "in/a.dcm", "new")

    def beaten(work: object, some: Sequence[ObjectRef]) -> object:
        known = find(work, some)  # type: ignore[arg-type]
        if len(some) == 2 and not announced.is_set():
            announced.set()
            no_errors(together(lambda: register_objects(ledger, [old], Lane.ROUTINE, actor="event")))
        return known

    monkeypatch.setattr(register, "find_known", beaten)
    found = listed(ledger, [old, new])()
    assert found[0].study_id == found[1].study_id
    assert [row.new for row in found] == [False, True]
    assert one(ledger, "SELECT count(*) FROM studies") == 1


def test_a_listing_gets_on_while_every_object_of_it_is_announced_one_by_one(ledger: Ledger, begun: list[int]) -> None:
    objects = refs(3 * PAGE)
    events = [
        lambda part=part: [register_objects(ledger, [ref], Lane.ROUTINE, actor="event") for ref in objects[part::3]]
        for part in range(3)
    ]
    pages = [listed(ledger, objects[start : start + PAGE]) for start in range(0, len(objects), PAGE)]
    no_errors(together(*events, *pages))
    assert one(ledger, "SELECT count(*) FROM images") == len(objects)
    assert one(ledger, "SELECT count(*) FROM studies") == len(objects)
    assert sum(size for size in begun if size > 1) <= 3 * len(objects), "no page was tried again and again"
