"""What a page costs among very many studies: PostgreSQL's plans, for every kind of filter in every order."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.lists import search
from xraygpt_core.ledger.lists.assign import Reader
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import ORDERS, Sorting, WorklistView, own_sorting
from xraygpt_core.ledger.lists.worklist import _DRAFTS, _PAGE
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, Lane, ReviewState, StudyState

MANY = 6000
REACH, PICKED = 300, 200
GROUP = 32  # rows that an incremental sort takes at once
# One study in fifty has a draft, and one in a thousand a nodule, and is stat.
CROWD = """
    WITH n AS MATERIALIZED (
        SELECT n, gen_random_uuid() AS study, gen_random_uuid() AS image, now() - n * interval '7 seconds' AS at,
               CASE WHEN n % 1000 = 0 THEN 0 WHEN n % 10 = 0 THEN 1 ELSE 2 END AS rank, n % 50 = 0 AS draft
        FROM generate_series(1, :many) AS n
    ), s AS (
        INSERT INTO studies (id, lane_rank, state, revision, chosen_image, view, received_at)
        SELECT study, rank, 'summarised', 1, image, 'PA', at FROM n
    ), i AS (
        INSERT INTO images (id, study_id, state, acquired_on) SELECT image, study, 'accepted', CAST(at AS date) FROM n
    )
    INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                           provenance, tokens, batch_size, lane_rank, review_state, reviewed_by, reviewed_at,
                           asserted, uncertain, summarised_at)
    SELECT gen_random_uuid(), study, image, 1, gen_random_uuid(), 1, 'demo', 'f',
           CASE n % 1000 WHEN 7 THEN 'A nodule.' ELSE 'Normal.' END, '{}', 9, 1, rank,
           CASE WHEN draft THEN 'draft' ELSE 'accepted' END, CASE WHEN NOT draft THEN 'Dr. A' END,
           CASE WHEN NOT draft THEN at END, CASE n % 1000 WHEN 7 THEN ARRAY['nodule'] ELSE '{}' END, '{}', at
    FROM n
"""
FILTERS = {
    "none": Filters(),
    "lane": Filters(lane=Lane.STAT),
    "view": Filters(views=["PA"]),
    "no view": Filters(views=["LL"]),
    "finding": Filters(findings=["nodule"]),
    "words": Filters(text="nodule"),
    "common words": Filters(text="normal"),
    "no words": Filters(text="zebra"),
    "flag": Filters(flags=[Flag.CONSISTENCY]),
    "bundle": Filters(bundle="demo"),
    "no bundle": Filters(bundle="other"),
    "reviewer": Filters(reviewer="Dr. Z"),
    "state": Filters(states=[StudyState.REJECTED]),
    "review": Filters(reviews=[ReviewState.REJECTED]),
    "received": Filters(received_from=datetime.now(UTC) - timedelta(minutes=9)),
    "acquired": Filters(acquired_until=date(2020, 1, 1)),
    "mine": Filters(mine=Reader(new_id(), "Dr. Z")),
}


@pytest.fixture
def crowded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Very many studies, beside which a page may look at few; and the planner knows it."""
    monkeypatch.setattr(search, "MOST_PICKED", PICKED)
    for name in ("REACH", "REACH_TEXT", "REACH_WORDS"):
        monkeypatch.setattr(search, name, REACH)
    with ledger.work() as work:
        work.run("TRUNCATE studies CASCADE")  # what earlier tests deleted makes indexes large, and plans others
        work.run(CROWD, {"many": MANY})
        work.run("SET LOCAL default_statistics_target = 200")
        for table in ("studies", "summaries", "images"):
            work.run(f"ANALYZE {table}")
    yield ledger
    with ledger.work() as work:
        work.run("TRUNCATE studies CASCADE")


def plan(ledger: Ledger, listing: WorklistView, sorting: Sorting, chosen: Filters) -> tuple[str, bool]:
    """How a page is found, and whether its order is walked."""
    with ledger.work() as work:
        found = search.prepare(work, listing, chosen, sorting, sorting.start)
        sql = sorting.written(_PAGE.replace("{rows}", found.rows))
        lines = work.rows(f"EXPLAIN (ANALYZE) {sql}", found.values | {"limit": 51})
    return "\n".join(str(line["QUERY PLAN"]) for line in lines), found.walk is not None


def touched(found: str) -> int:
    """The most rows that any step of a plan handed on or threw away, all its turns together."""
    counts = re.findall(r"actual time=\S+ rows=([\d.]+) loops=(\d+)", found)
    thrown = re.findall(r"Removed by Filter: (\d+)", found)
    return max([int(float(rows) * int(loops)) for rows, loops in counts] + [int(rows) for rows in thrown])


def test_no_page_walks_through_all_studies(crowded: Ledger) -> None:
    for listing in WorklistView:
        for order in ORDERS[listing]:
            sorting = own_sorting(listing) if order is ORDERS[listing][0] else Sorting(order, descending=True)
            for name, chosen in FILTERS.items():
                found, walked = plan(crowded, listing, sorting, chosen)
                case = (listing, order, name, found)
                assert not re.search(r"Seq Scan on (studies|summaries|images)", found), case
                assert touched(found) <= 2 * max(REACH, PICKED) + GROUP, case
                if name == "none" and order is ORDERS[listing][0]:
                    assert walked, case
                    assert touched(found) <= 51 + GROUP, case
    # What is rare is found whole, and not walked for.
    for name in ("finding", "words", "no words", "no bundle", "reviewer", "no view", "mine", "acquired", "lane"):
        found, walked = plan(crowded, WorklistView.ALL, own_sorting(WorklistView.ALL), FILTERS[name])
        assert not walked, (name, found)


def test_the_drafts_of_a_lane_are_counted_by_their_index_and_not_beyond_a_hundred(crowded: Ledger) -> None:
    with crowded.work() as work:
        lines = work.rows(f"EXPLAIN (ANALYZE) {_DRAFTS}", {"most": 100, "ranks": [0, 1, 2]})
    found = "\n".join(str(line["QUERY PLAN"]) for line in lines)
    assert "ix_summaries_awaiting" in found
    assert touched(found) <= 300, found
