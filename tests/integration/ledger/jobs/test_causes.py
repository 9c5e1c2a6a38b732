"""Errors that differ in a number or an id are one cause, and no others are."""

from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import one, put, rows, take
from xraygpt_core.ledger.jobs.causes import DeadGroup, cause_sql, dead_in
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.replay import Cause, replay_dead
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind

_WORDS = st.text("abcxyz :;.()", min_size=1, max_size=12)
_DIGESTS = st.binary(min_size=16, max_size=32).map(bytes.hex)
_VALUES = st.one_of(st.integers(0, 10**12), st.floats(0, 1e6).map(lambda x: f"{x:.3f}"), st.uuids(), _DIGESTS)


def causes(ledger: Ledger, errors: list[str]) -> list[str]:
    """The cause of each error, in one question."""
    sql = (
        f"SELECT {cause_sql('e')} AS cause FROM unnest(CAST(:errors AS text[])) WITH ORDINALITY AS u (e, n) ORDER BY n"
    )
    return [row["cause"] for row in rows(ledger, sql, errors=errors)]


def test_an_error_and_its_likes_are_one_cause(ledger: Ledger) -> None:
    @settings(max_examples=60)
    @given(st.lists(st.tuples(_WORDS, _VALUES), min_size=1, max_size=20))
    def check(parts: list[tuple[str, object]]) -> None:
        found = causes(ledger, [f"{word} {value} {word}" for word, value in parts])
        assert causes(ledger, found) == found  # a cause is its own cause
        for (_, value), cause in zip(parts, found, strict=True):
            assert str(value) not in cause
        assert causes(ledger, [f"{word} {uuid4()} {word}" for word, _ in parts]) == found
        assert causes(ledger, [f"{word} 7 {word}" for word, _ in parts]) == found

    check()


def test_words_keep_causes_apart(ledger: Ledger) -> None:
    found = causes(ledger, ["BucketAway: 503", "BucketAway: 404 at x", "bucketaway: 503", "cafe", "deadbeefdeadbeef"])
    assert found == ["BucketAway: …", "BucketAway: … at x", "bucketaway: …", "cafe", "…"]


def dead_by_cause(ledger: Ledger) -> list[DeadGroup]:
    with ledger.work() as work:
        return dead_in(work)


def test_groups_count_their_jobs_and_name_the_last_one(ledger: Ledger) -> None:
    images = [put(ledger) for _ in range(4)]
    for number, image in enumerate(images):
        error = f"signal {number}" if number < 3 else "no room"
        fail(ledger, take(ledger, JobKind.INGEST, image.image_id), error, retry=False)
    largest, other = dead_by_cause(ledger)
    assert (largest.kind, largest.cause, largest.jobs, largest.error) == ("ingest", "signal …", 3, "signal 2")
    assert largest.latest == one(ledger, "SELECT id FROM jobs WHERE last_error = 'signal 2'")
    assert (other.cause, other.jobs) == ("no room", 1)
    assert replay_dead(ledger, cause=Cause(JobKind.INGEST, "signal …")) == 3
    assert replay_dead(ledger, cause=Cause(JobKind.CHAT, "no room")) == 0
    assert [group.cause for group in dead_by_cause(ledger)] == ["no room"]


def test_a_death_without_an_error_has_a_cause_too(ledger: Ledger) -> None:
    image = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, image.image_id), "x", retry=False)
    with ledger.work() as work:
        work.run("UPDATE jobs SET last_error = NULL")
    (group,) = dead_by_cause(ledger)
    assert group.cause == "it left no error"
    assert replay_dead(ledger, cause=Cause(JobKind.INGEST, group.cause)) == 1
