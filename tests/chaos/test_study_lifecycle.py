"""Whatever happens to studies, in whatever order: their states change only as ``lifecycle.py`` says."""

import os
from collections.abc import Callable
from itertools import count
from random import Random
from uuid import UUID

import pytest

from tests.support.ledger_tools import film, new_summary, picture, rows
from tests.support.lifecycle_trigger import only_known_transitions
from xraygpt_core.errors import Conflict, NotFound
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import add_page, create_backlog, listings
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.end_image import reject_image, replace_image
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.refuse import refuse_image
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.settle import settle_many
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane, ReasonCode

STEPS = 250
ROUNDS = int(os.environ.get("XRAYGPT_CHAOS_ROUNDS", "1"))


class Hospital:
    """A ledger to which something happens at each step."""

    def __init__(self, ledger: Ledger, chance: Random) -> None:
        self.ledger = ledger
        self.chance = chance
        self.backlogs: list[UUID] = []
        self._etags = count()

    def an_object_is_sent(self) -> None:
        ref = ObjectRef("source", f"archive/{self.chance.randrange(12)}", f"e{self.chance.randrange(3)}")
        register_objects(self.ledger, [ref], self.chance.choice(list(Lane)), actor="event")

    def an_archive_is_listed(self) -> None:
        backlog_id = create_backlog(self.ledger, "source", "archive/", Lane.BACKLOG, None)
        listing = next(one for one in listings(self.ledger) if one.backlog_id == backlog_id)
        page = [ObjectRef("source", f"archive/{number}", "e0") for number in self.chance.sample(range(40), 3)]
        add_page(self.ledger, listing, page, next_after="archive/z", last=True)
        self.backlogs.append(backlog_id)

    def a_backlog_is_changed(self) -> None:
        if self.backlogs:
            change_backlog(self.ledger, self.backlogs[-1], self.chance.choice(["pause", "cancel", "resume"]))

    def images_are_read(self) -> None:
        claims = self._claims(JobKind.INGEST, self.chance.randint(1, 3))
        complete_ingests(self.ledger, [(claim, self._film()) for claim in claims])

    def an_image_is_not_accepted(self) -> None:
        for claim in self._claims(JobKind.INGEST):
            match self.chance.randrange(3):
                case 0:
                    reject_image(self.ledger, claim, ReasonCode.BLANK, "as the test says")
                case 1:
                    replace_image(self.ledger, claim, None)
                case 2:
                    key = rows(self.ledger, "SELECT key FROM object_keys WHERE image_id = :id", id=claim.subject)
                    now = [ObjectRef("source", row["key"], f"new {next(self._etags)}") for row in key]
                    replace_image(self.ledger, claim, now[0] if now else None)

    def studies_are_settled(self) -> None:
        settle_many(self.ledger, self._claims(JobKind.SETTLE, 3))

    def a_study_is_summarised(self) -> None:
        for claim in self._claims(JobKind.SUMMARISE):
            given = summarise_input(self.ledger, claim)
            if given is not None and self.chance.random() < 0.7:
                complete_summary(self.ledger, claim, given, new_summary())
            elif given is not None:
                refuse_image(self.ledger, claim, given, ReasonCode.NOT_A_CHEST, "as the test says")

    def a_job_dies(self) -> None:
        kind = self.chance.choice([JobKind.INGEST, JobKind.SETTLE, JobKind.SUMMARISE])
        for claim in self._claims(kind):
            fail(self.ledger, claim, "no", retry=False)

    def the_dead_are_replayed(self) -> None:
        replay_dead(self.ledger)

    def a_study_is_cancelled(self) -> None:
        cancel_study(self.ledger, self._study())

    def a_study_is_purged(self) -> None:
        if self.chance.random() < 0.3:
            purge_study(self.ledger, self._study(), lambda key: None)

    def a_summary_is_asked_for_again(self) -> None:
        resummarise(self.ledger, study_ids=[self._study()], bundle=None)

    def _claims(self, kind: JobKind, limit: int = 1) -> list[Claim]:
        return claim_next(self.ledger, [(kind, lane) for lane in Lane], "w", limit=limit)

    def _film(self) -> IngestedImage:
        if self.chance.random() < 0.2:
            return picture()
        return film(f"study {self.chance.randrange(5)}", view=self.chance.choice(["PA", "AP", "LATERAL"]))

    def _study(self) -> UUID:
        found = rows(self.ledger, "SELECT id FROM studies WHERE purged_at IS NULL ORDER BY id")
        if not found:
            raise NotFound("there is no study yet")
        return UUID(str(self.chance.choice(found)["id"]))


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("seed", range(2 * ROUNDS))
def test_no_order_of_events_changes_a_state_in_a_way_the_tables_do_not_name(
    ledger: Ledger, database_url: str, seed: int
) -> None:
    chance = Random(seed)
    hospital = Hospital(ledger, chance)
    happens: list[Callable[[], None]] = [
        *[hospital.an_object_is_sent, hospital.images_are_read, hospital.studies_are_settled] * 3,
        *[hospital.a_study_is_summarised, hospital.an_image_is_not_accepted, hospital.a_job_dies] * 2,
        *[hospital.an_archive_is_listed, hospital.the_dead_are_replayed, *[hospital.a_backlog_is_changed] * 3],
        *[hospital.a_study_is_cancelled, hospital.a_study_is_purged, hospital.a_summary_is_asked_for_again],
    ]
    done = refused = 0
    with only_known_transitions(database_url):
        for _ in range(STEPS):
            try:
                chance.choice(happens)()
                done += 1
            except (Conflict, NotFound):
                refused += 1
    assert done > 5 * refused, "most of what happens is allowed"
    states = {row["state"] for row in rows(ledger, "SELECT DISTINCT state FROM studies")}
    assert len(states) >= 4, f"the studies came to many ends: {states}"
