"""Three readers at one list, at once: no text is lost, nothing is signed unseen, and every act has its person."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from uuid import UUID

import pytest

from tests.support.api_keys import create_api_key
from tests.support.audit_tools import check
from tests.support.gateway_process import Gateway
from tests.support.ledger_tools import one, rows
from tests.support.three_readers import Reader, duel, newer_draft, reviews, summarised_studies
from xraygpt_core.ledger.audit.seal import seal
from xraygpt_core.ledger.studies.read import reviews as reviews_of
from xraygpt_core.ledger.studies.review_history import standing
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import Role


@contextmanager
def department(settings: Settings, studies: int, seed: int) -> Iterator[tuple[Ledger, list[UUID], list[Reader]]]:
    """A gateway of its own, its studies, and three readers, the last of whom leads."""
    gateway = Gateway(settings, XRAYGPT_LOG_LEVEL="WARNING")
    ledger = open_ledger(settings)
    readers: list[Reader] = []
    try:
        found = summarised_studies(ledger, studies)
        gateway.ready()
        for number, role in enumerate([Role.READER, Role.READER, Role.LEAD]):
            name = f"Dr. {'ABC'[number]}"
            key = create_api_key(ledger, name, roles=[role])
            readers.append(Reader(gateway.url, key, name, found, Random(f"{seed} {name}")))
        yield ledger, found, readers
    finally:
        for reader in readers:
            reader.close()
        gateway.end()
        sys.stderr.writelines(gateway.lines[-100:])  # pytest shows it where a reader met what is no refusal
        ledger.close()


def read_together(settings: Settings, *, studies: int, seconds: float, duels: int, seed: int) -> None:
    """Random acts of three at once while newer drafts arrive, then signatures at one moment; then count everything."""
    chance = Random(seed)
    with department(settings, studies, seed) as (ledger, found, readers):
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(len(readers)) as pool:
            reading = [pool.submit(reader.act_until, deadline) for reader in readers]
            while not all(one_reader.done() for one_reader in reading):
                newer_draft(ledger, chance.choice(found))
                time.sleep(0.2)
            for one_reader in reading:
                one_reader.result()
        for _ in range(duels):
            statuses = duel(readers, chance.choice(found), chance)
            assert sorted(statuses) == [200, 409, 409], "of three who sign what they all saw, one does"
        nothing_is_lost_or_doubled(ledger, readers)
        nothing_is_signed_unseen(ledger, readers)
        every_act_has_its_person(ledger, readers)
        the_summaries_stand_as_their_reviews_say(ledger)


def nothing_is_lost_or_doubled(ledger: Ledger, readers: Sequence[Reader]) -> None:
    sent_acts = [
        ((sent.summary_id, reader.name, sent.body["state"] if "undo" not in sent.body else "undone"), sent)
        for reader in readers
        for sent in reader.sent
    ]
    taken = Counter(act for act, sent in sent_acts if sent.taken)
    kept = reviews(ledger)
    stored = Counter((str(row["summary_id"]), row["reviewer"], row["action"]) for row in kept)
    doubtful = (stored - taken) + (taken - stored)
    assert not doubtful, [(act, sent.statuses, sent.reasons) for act, sent in sent_acts if act in doubtful]
    texts = {sent.body["text"]: (reader.name, sent.summary_id) for reader in readers for sent in reader.sent
             if sent.taken and "text" in sent.body}  # fmt: skip
    corrections = [row for row in kept if row["action"] == "edited"]
    assert {row["text"]: (row["reviewer"], str(row["summary_id"])) for row in corrections} == texts
    assert len(corrections) == len(texts) > 0
    refused = {sent.body.get("text") for reader in readers for sent in reader.sent if not sent.taken} - {None}
    assert refused.isdisjoint(row["text"] for row in kept)


def nothing_is_signed_unseen(ledger: Ledger, readers: Sequence[Reader]) -> None:
    wrong = [sent for reader in readers for sent in reader.sent if sent.wrong_film and not sent.cut]
    assert wrong
    assert not any(sent.taken for sent in wrong)
    for row in reviews(ledger):
        assert row["seen"]["image_sha256" if "image_sha256" in row["seen"] else "review_state"]
        assert row["seen"].get("image_sha256", row["normalised_sha256"]) == row["normalised_sha256"]


def every_act_has_its_person(ledger: Ledger, readers: Sequence[Reader]) -> None:
    keys = {row["name"]: row["id"] for row in rows(ledger, "SELECT id, name FROM api_keys")}
    kept = reviews(ledger)
    assert all((row["key_id"], row["key_name"]) == (keys[row["reviewer"]], row["reviewer"]) for row in kept)
    audit = rows(ledger, "SELECT * FROM audit WHERE outcome = 'done' ORDER BY id")
    signed = [row for row in audit if "review" in (row["detail"] or {})]
    assert sorted(
        (row["detail"]["review"], row["what"], str(row["key_id"]), str(row["subject"])) for row in signed
    ) == (
        sorted((str(row["id"]), f"summary {row['action']}", str(row["key_id"]), str(row["summary_id"])) for row in kept)
    )
    story = rows(ledger, "SELECT who, what, detail ->> 'review' AS review FROM timeline WHERE detail ? 'review'")
    assert sorted((row["who"], row["what"], row["review"]) for row in story) == sorted(
        (row["reviewer"], f"summary {row['action']}", str(row["id"])) for row in kept
    )
    for reader in readers:
        mine = Counter(row["what"] for row in audit if row["key_id"] == keys[reader.name])
        for act, count in reader.reads.items():
            # An answer that nobody was there to take was read, too.
            assert mine[act] == count if act != "summary read" else mine[act] >= count, (reader.name, act)
    while seal(ledger) is not None:
        pass
    problems, verdict = check(ledger)
    assert problems == []
    assert verdict.ok
    assert one(ledger, "SELECT count(*) FROM audit_open") == 0


def the_summaries_stand_as_their_reviews_say(ledger: Ledger) -> None:
    for row in rows(ledger, "SELECT id, review_state, edited_summary, reviewed_by, reviewed_at FROM summaries"):
        now = standing(reviews_of(ledger, row["id"])[1])
        by, at = (now.by.reviewer, now.by.at) if now.by else (None, None)
        assert (row["review_state"], row["edited_summary"]) == (now.state, now.text)
        assert (row["reviewed_by"], row["reviewed_at"]) == (by, at)


@pytest.mark.usefixtures("sound")
def test_three_readers_at_once_lose_nothing(s3_settings: Settings) -> None:
    read_together(s3_settings, studies=30, seconds=4, duels=5, seed=1)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("seed", [2, 3])
def test_three_readers_lose_nothing_in_five_minutes(s3_settings: Settings, seed: int) -> None:
    read_together(s3_settings, studies=300, seconds=300, duels=50, seed=seed)
