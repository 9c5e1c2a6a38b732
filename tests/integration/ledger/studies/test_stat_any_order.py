"""In whatever order and at whatever moment the films of a stat study come: it ends as a routine study does."""

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import (
    claim,
    film,
    ingest,
    new_summary,
    put,
    rows,
    sign,
)
from tests.support.study_steps import settle
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, JobKind, Lane, Origin, ReviewState

pytestmark = pytest.mark.usefixtures("sound")

STAT, ROUTINE = Lane.STAT, Lane.ROUTINE
_worlds = count()


VIEWS = st.sampled_from(["PA", "AP", "FRONTAL", "LATERAL", None])
FILMS = st.lists(
    st.fixed_dictionaries(
        {
            "view": VIEWS,
            "rows": st.sampled_from([1000, 2000]),
            "origin": st.sampled_from([Origin.DETECTOR, Origin.PROCESSED, Origin.BONE]),
            "flags": st.sampled_from([(), (Flag.SECONDARY_CAPTURE,), (Flag.IMPLAUSIBLE_PIXELS,)]),
        }
    ),
    min_size=1,
    max_size=5,
)
DEEDS = ["send", "send", "raise", "settle", "begin", "begin", "end", "end", "sign", "die"]


class World:
    """One study of these films, to which one thing after the other happens."""

    def __init__(self, ledger: Ledger, films: Sequence[dict[str, Any]], lane: Lane) -> None:
        self.ledger, self.lane, self.name = ledger, lane, f"w{next(_worlds)}"
        self.films = [
            film(self.name, **one_film | {"pixel_sha256": f"{self.name}-{number}"})
            for number, one_film in enumerate(films)
        ]
        self.sent: list[tuple[Registered, int]] = []
        self.left = list(range(len(films)))
        self.running: list[Any] = []
        self.written: list[UUID] = []
        self.made = 0

    def send(self, number: int) -> None:
        key = f"{self.name}/{number}"
        self.sent.append((put(self.ledger, key, lane=self.lane), number))
        ingest(self.ledger, self.sent[-1][0], self.films[number])

    def do(self, deed: str) -> None:
        match deed:
            case "send" if self.left:
                self.send(self.left.pop(0))
            case "raise" if self.sent:
                self.lane = STAT
                for _, number in self.sent:
                    put(self.ledger, f"{self.name}/{number}", lane=STAT)
            case "settle":
                for taken in self.take(JobKind.SETTLE):
                    settle(self.ledger, taken)
            case "begin":
                begun = [(taken, summarise_input(self.ledger, taken)) for taken in self.take(JobKind.SUMMARISE)]
                self.running += [(taken, what) for taken, what in begun if what is not None]
            case "end" if self.running:
                self.written.append(complete_summary(self.ledger, *self.running.pop(0), new_summary()))
                self.made += 1
            case "sign" if self.written:
                self.sign()
            case "die" if self.running:
                fail(self.ledger, self.running.pop(0)[0], "as the test says")

    def sign(self) -> None:
        current = rows(
            self.ledger,
            "SELECT id FROM summaries WHERE id = ANY(CAST(:ids AS uuid[])) AND superseded_at IS NULL "
            "AND review_state = 'draft'",
            ids=self.written,
        )
        for row in current:
            sign(self.ledger, row["id"], ReviewState.ACCEPTED)

    def take(self, kind: JobKind) -> list[Any]:
        """The jobs of this kind that wait, each after its pause."""
        found = rows(
            self.ledger,
            "SELECT j.id FROM jobs j JOIN studies s ON s.id = j.subject WHERE s.uid_pseudonym = :name "
            "AND j.kind = :kind AND j.state = 'queued' ORDER BY j.id",
            name=self.name,
            kind=kind,
        )
        taken = [claim(self.ledger, row["id"], kind, early=True) for row in found]
        return [one_claim for one_claim in taken if one_claim is not None]

    def end(self) -> dict[str, Any]:
        """Do all that is left; what the study is then."""
        while self.left:
            self.do("send")
        for _ in range(10):
            for deed in ("settle", "begin", *["end"] * len(self.running), "end", "end"):
                self.do(deed)
        (found,) = rows(
            self.ledger,
            "SELECT s.id, s.state, i.pixel_sha256 AS chosen, (SELECT array_agg(p.pixel_sha256) FROM summaries m "
            "JOIN images p ON p.id = m.image_id WHERE m.study_id = s.id AND superseded_at IS NULL) AS current "
            "FROM studies s LEFT JOIN images i ON i.id = s.chosen_image WHERE s.uid_pseudonym = :name",
            name=self.name,
        )
        return found


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILMS, st.lists(st.sampled_from(DEEDS), max_size=25), st.sampled_from([STAT, STAT, ROUTINE]), st.randoms())
def test_whatever_comes_when_a_stat_study_ends_with_the_image_that_a_routine_one_has(
    ledger: Ledger, films: list[dict[str, Any]], deeds: list[str], lane: Lane, chance: Any
) -> None:
    changes = {"settle_seconds": 600.0, "stat_quiet_seconds": 60.0, "max_attempts": 100}
    slow = Ledger(ledger.settings.model_copy(update=changes), ledger.database, ledger.doorbell)
    world, routine = World(slow, films, lane), World(slow, films, ROUTINE)
    chance.shuffle(world.left)
    for deed in deeds:
        world.do(deed)
    found, expected = world.end(), routine.end()
    number: dict[Any, Any] = {None: None} | {
        f"{one.name}-{place}": place for one in (world, routine) for place in range(len(films))
    }
    assert (found["state"], number[found["chosen"]]) == (expected["state"], number[expected["chosen"]])
    assert (found["state"] == "summarised") == (found["chosen"] is not None)
    assert found["current"] == ([found["chosen"]] if found["chosen"] else None)
