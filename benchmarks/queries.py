"""Reads over many summaries: the documented queries (docs/sql.md) with PostgreSQL's plans, and pages of the lists."""

import re
import time
from pathlib import Path

import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.sizes import TABLES, ledger_of, timed
from benchmarks.stack import BenchmarkStack
from xraygpt_core.ledger.studies.worklist import WorklistView, worklist
from xraygpt_core.states import Lane, StudyState

_ROWS = 50  # of a page
_NOTHING = [StudyState.DEAD]  # a state that no filled study has
_PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
_NAMES = {
    "by_day": "percentile_cont",
    "by_finding": "effusions",
    "by_patient": "patient_pseudonym = (",
    "by_model": "bundle_hash",
    "by_hour": "'1 minute'",
    "backlog_rate": "images_per_hour",
}

_FILL = """
    WITH n AS MATERIALIZED (
        SELECT n, gen_random_uuid() AS study, gen_random_uuid() AS image, gen_random_uuid() AS job,
               now() - n * interval '7 seconds' AS at
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    ), s AS (
        INSERT INTO studies (id, uid_pseudonym, patient_pseudonym, accession_pseudonym, lane_rank, state, revision,
                             chosen_image, view, received_at, finished_at)
        SELECT study, 'u' || n, 'p' || n / 3, 'a' || n, n %% 3, 'summarised', 1, image, 'PA', at,
               at + interval '20 seconds' FROM n
    ), i AS (
        INSERT INTO images (id, study_id, state, view, received_at) SELECT image, study, 'accepted', 'PA', at FROM n
    ), m AS (
        INSERT INTO backlog_images (backlog_id, image_id) SELECT %(backlog)s, image FROM n
    )
    INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                           findings, impression, provenance, tokens, batch_size, review_state, summarised_at)
    SELECT gen_random_uuid(), study, image, 1, job, 1, 'model-' || n %% 4, repeat('f', 64), t.text, t.text, 'None.',
           '{}', 90, 16, (ARRAY['draft', 'draft', 'accepted', 'edited'])[1 + n %% 4], at + interval '20 seconds'
    FROM n, LATERAL (SELECT CASE n %% 5
        WHEN 0 THEN 'The heart is mildly enlarged. A small left pleural effusion is seen.'
        WHEN 1 THEN 'Lungs are clear. No pleural effusion or pneumothorax.'
        WHEN 2 THEN 'Patchy opacity in the right lower lobe, pneumonia is likely.'
        ELSE 'The heart and mediastinum are normal. The lungs are clear.' END AS text) AS t
"""


def measure(running: BenchmarkStack, summaries: int, plans: Path | None) -> list[Row]:
    """Milliseconds of each documented query; the plans go into ``plans``."""
    rows, explained = [], []
    with running.connect() as connection:
        fill(connection, summaries)
        for name, sql in documented(_PAGE.read_text()).items():
            began = time.perf_counter()
            connection.execute(sql).fetchall()
            took = 1000 * (time.perf_counter() - began)
            rows.append(tell(Row(f"sql.{summaries}.{name}", took, "ms")))
            plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}")
            explained.append(f"## {name}\n\n```\n" + "\n".join(line for (line,) in plan) + "\n```\n")
    if plans:
        plans.write_text(f"# Plans of the documented queries at {summaries} summaries\n\n" + "\n".join(explained))
    return rows


def measure_pages(running: BenchmarkStack, summaries: int) -> list[Row]:
    """Median milliseconds of a first page and of the one behind it; of filters, one that finds nothing."""
    rows = []
    with running.connect() as connection, ledger_of(running) as ledger:
        fill(connection, summaries)
        for listing in WorklistView:
            after = worklist(ledger, listing, limit=_ROWS).after
            pages = {
                "first": lambda listing=listing: worklist(ledger, listing, limit=_ROWS),
                "next": lambda listing=listing, after=after: worklist(ledger, listing, limit=_ROWS, after=after),
                "lane": lambda listing=listing: worklist(ledger, listing, limit=_ROWS, lane=Lane.BACKLOG),
                "nothing": lambda listing=listing: worklist(ledger, listing, limit=_ROWS, states=_NOTHING),
            }
            for name, page in pages.items():
                rows.append(tell(Row(f"pages.{summaries}.{listing}.{name}", timed(page), "ms")))
    return rows


def fill(connection: "psycopg.Connection", summaries: int) -> None:
    """Only these studies: summarised, of one backlog, one every seven seconds back from now."""
    say(f"filling {summaries} summaries")
    connection.execute(f"TRUNCATE {TABLES} CASCADE")
    row = connection.execute(
        "INSERT INTO backlogs (id, bucket, prefix, lane_rank, state, listed) "
        "VALUES (gen_random_uuid(), 'source', '', 2, 'listed', %s) RETURNING id",
        [summaries],
    ).fetchone()
    assert row is not None
    for first in range(1, summaries + 1, 50_000):
        last = min(first + 49_999, summaries)
        connection.execute(_FILL, {"first": first, "last": last, "backlog": row[0]})
    connection.execute("VACUUM (ANALYZE)")


def documented(page: str) -> dict[str, str]:
    """The worked queries this measures, by name."""
    blocks = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    return {name: block for name, mark in _NAMES.items() for block in blocks if mark in block}
