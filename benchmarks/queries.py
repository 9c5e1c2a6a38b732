"""Reads over many summaries: the documented queries (docs/sql.md) with PostgreSQL's plans, and what a page shows."""

import re
import time
from pathlib import Path

import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.sizes import TABLES
from benchmarks.stack import BenchmarkStack

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
        INSERT INTO images (id, study_id, state, view, modality, acquired_on, received_at)
        SELECT image, study, 'accepted', 'PA', 'DX', CAST(at AS date), at FROM n
    ), m AS (
        INSERT INTO backlog_images (backlog_id, image_id) SELECT %(backlog)s, image FROM n
    )
    INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                           findings, impression, provenance, tokens, batch_size, review_state, reviewed_by, reviewed_at,
                           asserted, uncertain, lane_rank, summarised_at)
    SELECT gen_random_uuid(), study, image, 1, job, 1, 'model-' || n %% 4, repeat('f', 64), t.text, t.text, 'None.',
           '{"software": {"device": "cuda:0"}, "waited_seconds": 1.5, "generate_seconds": 2.5}', 90, 16,
           CASE WHEN n %% 4 < 2 THEN 'draft' ELSE 'accepted' END, CASE WHEN n %% 4 >= 2 THEN 'Dr. ' || n %% 7 END,
           CASE WHEN n %% 4 >= 2 THEN at + interval '1 hour' END, t.asserted,
           CASE WHEN n %% 2000 = 1 THEN ARRAY['pneumothorax'] ELSE '{}' END, n %% 3, at + interval '20 seconds'
    FROM n, LATERAL (SELECT CASE n %% 5
        WHEN 0 THEN 'The heart is mildly enlarged. A small left pleural effusion is seen.'
        WHEN 1 THEN 'Lungs are clear. No pleural effusion or pneumothorax.'
        WHEN 2 THEN 'Patchy opacity in the right lower lobe, pneumonia is likely.'
        ELSE 'The heart and mediastinum are normal. The lungs are clear.' END AS text,
        CASE n %% 5 WHEN 0 THEN ARRAY['cardiomegaly', 'effusion'] WHEN 2 THEN ARRAY['consolidation'] ELSE '{}' END
        AS asserted) AS t
"""
# Two labels a text, as the reports of Open-i have; half of the texts are signed.
_LABELLED = """
    WITH texts AS (
        INSERT INTO labelled_texts (source, source_id, labeller) SELECT 'draft', id, '1' FROM summaries
        RETURNING source_id
    ), labels AS (
        INSERT INTO finding_labels (source, source_id, position, finding, side, status, words_from, words_to)
        SELECT 'draft', id, l.position, l.finding, l.side, l.status, 0, 9
        FROM summaries, LATERAL (VALUES
            (0, COALESCE(asserted[1], 'pneumothorax'), NULL,
             CASE WHEN asserted[1] IS NULL THEN 'absent' ELSE 'present' END),
            (1, 'effusion', CASE WHEN 'effusion' = ANY (asserted) THEN 'left' END,
             CASE WHEN 'effusion' = ANY (asserted) THEN 'present' ELSE 'absent' END)
        ) AS l (position, finding, side, status)
    )
    INSERT INTO reviews (id, summary_id, position, action, reviewer, at)
    SELECT gen_random_uuid(), id, 1, 'accepted', reviewed_by, reviewed_at FROM summaries WHERE reviewed_at IS NOT NULL
"""
_QUESTION = re.compile(r"^(\d+)\. .*?```sql\n(.*?)```", re.DOTALL | re.MULTILINE)
# Of the twenty questions those whose answer a page shows: Find, and the list of drafts with a finding.
_ON_A_PAGE = {"question_8", "question_12"}
_EACH = 20  # of those the slowest counts


def measure(running: BenchmarkStack, summaries: int, plans: Path | None) -> list[Row]:
    """Milliseconds of each documented query; the plans go into ``plans``."""
    rows, explained = [], []
    with running.connect() as connection:
        fill(connection, summaries)
        page = _PAGE.read_text()
        for name, sql in (documented(page) | questions(page)).items():
            times = [_milliseconds(connection, sql) for _ in range(_EACH if name in _ON_A_PAGE else 1)]
            rows.append(tell(Row(f"sql.{summaries}.{name}", max(times), "ms")))
            plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}")
            explained.append(f"## {name}\n\n```\n" + "\n".join(line for (line,) in plan) + "\n```\n")
    if plans:
        plans.write_text(f"# Plans of the documented queries at {summaries} summaries\n\n" + "\n".join(explained))
    return rows


def fill(connection: "psycopg.Connection", summaries: int) -> None:
    """Only these studies: summarised, of one backlog, one every seven seconds back from now."""
    say(f"filling {summaries} summaries")
    connection.execute(f"TRUNCATE {TABLES}, labelled_texts CASCADE")
    row = connection.execute(
        "INSERT INTO backlogs (id, bucket, prefix, lane_rank, state, listed) "
        "VALUES (gen_random_uuid(), 'source', '', 2, 'listed', %s) RETURNING id",
        [summaries],
    ).fetchone()
    assert row is not None
    for first in range(1, summaries + 1, 50_000):
        last = min(first + 49_999, summaries)
        connection.execute(_FILL, {"first": first, "last": last, "backlog": row[0]})
    connection.execute(_LABELLED)
    connection.execute("VACUUM (ANALYZE)")


def documented(page: str) -> dict[str, str]:
    """The worked queries this measures, by name."""
    _, _, section = page.partition("## Worked queries")
    blocks = re.findall(r"```sql\n(.*?)```", section.partition("## Twenty questions")[0], re.DOTALL)
    return {name: block for name, mark in _NAMES.items() for block in blocks if mark in block}


def questions(page: str) -> dict[str, str]:
    """The twenty questions, by their number."""
    _, _, section = page.partition("## Twenty questions")
    return {f"question_{number}": sql for number, sql in _QUESTION.findall(section)}


def _milliseconds(connection: "psycopg.Connection", sql: str) -> float:
    began = time.perf_counter()
    connection.execute(sql).fetchall()
    return 1000 * (time.perf_counter() - began)
