"""A prior film changes hands while studies are settled and written: statement by statement, in orders of chance.

Two ledgers with connections of their own take turns before each statement and each commit. After every turn the
committed rows are looked at: no current draft names another patient's film as its prior.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.invariants import check_invariants
from tests.support.ledger_tools import do, film, ingest, new_summary, one, put, settle_now, start_summary
from xraygpt_core.db import libpq_url
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.studies.split import Names, split_study
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.ledger.transaction import Ledger, Work, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import ImageRole, JobKind, Lane

ORDERS = 10 * int(os.environ.get("XRAYGPT_CHAOS_ROUNDS", "1"))

# Another patient's: its study is, or its object was corrected and names another patient now.
MIXED_UP = """
    SELECT m.id FROM summaries m JOIN studies s ON s.id = m.study_id
    JOIN images p ON p.id = m.prior_image JOIN studies h ON h.id = p.study_id
    WHERE m.superseded_at IS NULL AND h.purged_at IS NULL AND (
        h.patient_pseudonym IS DISTINCT FROM s.patient_pseudonym OR EXISTS (
            SELECT FROM object_keys mine JOIN object_keys o USING (bucket, key) JOIN images i ON i.id = o.image_id
            WHERE mine.image_id = p.id AND o.seen_at > mine.seen_at AND i.state = 'accepted'
              AND i.patient_pseudonym <> s.patient_pseudonym))
"""
# A film that was found to be earlier by no rule: not accepted, or in the study itself.
UNSOUND = """
    SELECT m.id FROM summaries m JOIN images p ON p.id = m.prior_image JOIN studies h ON h.id = p.study_id
    WHERE m.superseded_at IS NULL AND h.purged_at IS NULL AND (p.state <> 'accepted' OR p.study_id = m.study_id)
"""
_WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"


class Turns:
    """Two threads, of which one at a time goes on to its next statement; one that waits for a lock gives way."""

    def __init__(self, chance: Random, looker: "psycopg.Connection[Any]", look: Callable[[], None]) -> None:
        self._chance, self._looker, self._look = chance, looker, look
        self._changed = threading.Condition()
        self._ready: dict[int, bool] = {}  # at its next statement, and not yet let go
        self._sessions: dict[int, int] = {}

    def wait(self, work: Work | None) -> None:
        """Called by a thread before a statement or a commit of its own."""
        me = threading.get_ident()
        if me not in self._ready:
            return  # the test itself
        if work is not None:
            self._sessions[me] = work.connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        with self._changed:
            self._ready[me] = True
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: not self._ready[me], 60)

    def play(self, bodies: Sequence[Callable[[], None]]) -> None:
        """Run these to their ends."""
        errors: list[BaseException] = []

        def run(body: Callable[[], None]) -> None:
            me = threading.get_ident()
            self._ready[me] = False
            try:
                self.wait(None)
                body()
            except BaseException as error:  # noqa: BLE001  # the test raises it
                errors.append(error)
            finally:
                with self._changed:
                    del self._ready[me]
                    self._changed.notify_all()

        threads = [threading.Thread(target=run, args=[body]) for body in bodies]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._next()
            self._look()
        for error in errors:
            raise error

    def _next(self) -> None:
        """Let one thread go on once none is on the way, and wait until it has arrived."""
        with self._changed:
            self._changed.wait_for(self._settled, 0.02)
            waiting = sorted(me for me, ready in self._ready.items() if ready)
            if not self._settled() or not waiting:
                return
            self._ready[self._chance.choice(waiting)] = False
            self._changed.notify_all()

    def _settled(self) -> bool:
        return all(ready or self._is_held_up(me) for me, ready in list(self._ready.items()))

    def _is_held_up(self, me: int) -> bool:
        if me not in self._sessions:
            return False
        row = self._looker.execute(_WAITS, [self._sessions[me]]).fetchone()
        return row is not None and bool(row[0])


@contextmanager
def taking(turns: Turns, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every statement and every commit of a ledger waits for its turn."""
    whole = Ledger.work

    def before(name: str) -> Callable[..., Any]:
        act = getattr(Work, name)

        def acts(self: Work, *args: Any, **more: Any) -> Any:
            turns.wait(self)
            return act(self, *args, **more)

        return acts

    @contextmanager
    def work(self: Ledger) -> Iterator[Work]:
        with whole(self) as opened:
            yield opened
            turns.wait(opened)

    with patch.context() as patched:
        for name in ("run", "rows", "row"):
            patched.setattr(Work, name, before(name))
        patched.setattr(Ledger, "work", work)
        yield


class Ward:
    """Patient A's study of today, and one of the day before in which two patients' films lie, as in older versions."""

    def __init__(self, ledger: Ledger, lane: Lane) -> None:
        self.ledger, self.lane = ledger, lane
        unnamed = {"patient_pseudonym": None, "accession_pseudonym": None, "sop_pseudonym": None}
        self.mine, _ = self._read("old", 1, **unnamed)
        self.other, self.old = self._read("old", 1, **unnamed, rows=4000)
        do(ledger, "UPDATE studies SET patient_pseudonym = 'A' WHERE id = :id", id=self.old)
        do(ledger, "UPDATE images SET names_read = false WHERE study_id = :id", id=self.old)
        settle_now(ledger, self.old)
        taken, given = start_summary(ledger, self.old)
        complete_summary(ledger, taken, given, new_summary())
        self.frontal, self.now = self._read("now", 2, patient_pseudonym="A")

    def _read(self, uid: str, day: int, **changes: Any) -> tuple[UUID, UUID]:
        registered = put(self.ledger, lane=self.lane)
        facts = HeaderFacts(acquired_on=date(2021, 3, day))
        return registered.image_id, ingest(self.ledger, registered, film(uid, facts=facts, **changes))

    def work_off(self, ledger: Ledger, rounds: int = 4) -> None:
        """What the workers do: settle what is to be settled, and write what is to be written."""
        for _ in range(rounds):
            with_lease = claim_next(ledger, [(JobKind.SETTLE, lane) for lane in Lane], "settles", limit=4)
            if with_lease:
                settle_many(ledger, with_lease)
            for claim in claim_next(ledger, [(JobKind.SUMMARISE, lane) for lane in Lane], "writes"):
                given = summarise_input(ledger, claim)
                if given is None:
                    continue
                films: dict[str, Any] = {f"{role}_image": found.image_id for role, found in given.further.items()}
                try:
                    complete_summary(ledger, claim, given, replace(new_summary(), **films))
                except LeaseLost:  # its study was purged or taken apart meanwhile
                    continue

    def taken_apart(self, ledger: Ledger) -> None:
        names = {self.mine: Names("A", None, None), self.other: Names("B", None, None)}
        split_study(ledger, self.old, names, apply=True)

    def overwritten_by_another(self, ledger: Ledger) -> None:
        self._overwritten(ledger, patient_pseudonym="B")

    def overwritten_by_the_same(self, ledger: Ledger) -> None:
        self._overwritten(ledger, patient_pseudonym="A")

    def purged(self, ledger: Ledger) -> None:
        purge_study(ledger, self.old, lambda _: None)

    def another_film_comes(self, ledger: Ledger) -> None:
        self._ingested(ledger, ObjectRef("source", "late", "e"), film("now", view="OBLIQUE", patient_pseudonym="A"))

    def _overwritten(self, ledger: Ledger, **changes: Any) -> None:
        with ledger.work() as work:
            row = work.found("SELECT key FROM object_keys WHERE image_id = :id", {"id": self.other}, "it is purged")
        facts = HeaderFacts(acquired_on=date(2021, 3, 1))
        self._ingested(ledger, ObjectRef("source", row["key"], "corrected"), film("old", facts=facts, **changes))

    def _ingested(self, ledger: Ledger, ref: ObjectRef, image: Any) -> None:
        register_objects(ledger, [ref], self.lane, actor="event")
        claims = claim_next(ledger, [(JobKind.INGEST, lane) for lane in Lane], "reads")
        complete_ingests(ledger, [(claim, image) for claim in claims])


def changes(ward: Ward, chance: Random) -> list[Callable[[Ledger], None]]:
    """What becomes of the film of the day before, and of the study beside it."""
    ends = [ward.taken_apart, ward.overwritten_by_another, ward.overwritten_by_the_same, ward.purged]
    return chance.sample([ward.another_film_comes, chance.choice(ends)], 2)


@pytest.mark.parametrize("seed", range(ORDERS))
def test_no_draft_ever_stands_beside_another_patients_film(
    settings: Settings, database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(seed)
    mover, worker = open_ledger(settings), open_ledger(settings)
    with psycopg.connect(libpq_url(database_url), autocommit=True) as looker:

        def look() -> None:
            assert looker.execute(MIXED_UP).fetchall() == [], f"seed {seed}"

        try:
            note_images(worker, "demo", list(ImageRole))
            ward = Ward(worker, chance.choice([Lane.STAT, Lane.ROUTINE]))
            acts = changes(ward, chance)
            turns = Turns(chance, looker, look)
            with taking(turns, monkeypatch):
                turns.play([lambda: ward.work_off(worker), lambda: [act(mover) for act in acts] and None])
            ward.work_off(worker, rounds=8)
            assert looker.execute(UNSOUND).fetchall() == []
            assert one(worker, "SELECT state FROM studies WHERE id = :id", id=ward.now) == "summarised"
            check_invariants(looker, finished=True)
        finally:
            mover.close()
            worker.close()
