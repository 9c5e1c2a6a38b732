"""A fill that is killed in the middle and run again leaves the rows that an undisturbed one leaves."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.ledger_tools import film, ingest, new_summary, put, settle_now, start_summary
from tests.support.worker_bench import Bench, eventually, make_film
from workers.facts import fill_facts
from workers.relabel import relabel
from workers.seal import fill_numbers
from xraygpt_core.dicom.sandbox import facts_sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.ledger.preflight import check_sealing_key
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.sealing import SealedNumbers, Sealer

COUNT = 5
LIMITS = Limits(10**6, 30.0, 2**30)
KEY = hashlib.sha256(b"sealing").digest()
SEALER = Sealer(KEY)
SEALED = {"XRAYGPT_SEALED_NUMBERS": "true", "XRAYGPT_SEALING_KEY": KEY.hex()}

# The command, with two films or texts in a transaction.
SMALL_PAGES = """
import importlib, sys
importlib.import_module(sys.argv[2]).PAGE = 2
sys.exit(importlib.import_module(sys.argv[1]).main([]))
"""
WAITS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@dataclass(frozen=True)
class Fill:
    """One of the commands.

    Attributes:
        module: the command, and the module whose PAGE is the size of its transactions.
        given: what it fills in, as older versions left it.
        run: its work, in this process.
        undo: the statement that takes away what it filled in.
        rows: what it filled in.
        table: what its transactions lock, in the order of their ids.
    """

    module: tuple[str, str]
    given: Callable[[Bench], None]
    run: Callable[[Bench], object]
    undo: str
    rows: Callable[[Bench], list[Any]]
    table: str


def films(bench: Bench) -> None:
    check_sealing_key(bench.ledger, *SEALER.fingerprints)
    for number in range(COUNT):
        registered = bench.register(
            f"in/{number}.dcm", make_film(number, AcquisitionDate="20210304", ImageLaterality="L")
        )
        ingest(bench.ledger, registered, film(f"study {number}"))
    bench.rows(f"{NO_FACTS} RETURNING id")


def drafts(bench: Bench) -> None:
    for number in range(COUNT):
        study_id = ingest(bench.ledger, put(bench.ledger), film(f"study {number}"))
        settle_now(bench.ledger, study_id)
        text = f"Findings: Large left effusion {number}. Impression: Possible nodule."
        complete_summary(bench.ledger, *start_summary(bench.ledger, study_id), new_summary(text))
    bench.rows(f"{NO_LABELS} RETURNING 1")


def with_facts(bench: Bench) -> list[Any]:
    columns = "acquired_on, acquired_time, laterality, spacing_mm, spacing_at, facts_read, rows, columns"
    return bench.rows(f"SELECT id, {columns} FROM images ORDER BY id")


def with_numbers(bench: Bench) -> list[Any]:
    boxes = bench.rows("SELECT image_id, sealed, key_fingerprint FROM sealed_numbers ORDER BY image_id")
    sealed = [(row["image_id"], SealedNumbers(row["sealed"], row["key_fingerprint"])) for row in boxes]
    return [(image, SEALER.open(image, box)) for image, box in sealed]


def with_labels(bench: Bench) -> list[Any]:
    columns = "source, source_id, labeller, position, finding, side, zone, status, words_from, words_to"
    labels = f"SELECT {columns} FROM labelled_texts LEFT JOIN finding_labels USING (source, source_id) ORDER BY 1, 2, 4"
    return [*bench.rows(labels), *bench.rows("SELECT id, asserted, uncertain FROM summaries ORDER BY id")]


def fill_in_facts(bench: Bench) -> None:
    with facts_sandbox(LIMITS) as sandbox:
        fill_facts(bench.ledger, bench.store, sandbox)


def fill_in_numbers(bench: Bench) -> None:
    with header_sandbox(LIMITS) as sandbox:
        fill_numbers(bench.ledger, bench.store, sandbox, SEALER)


NO_FACTS = """
    UPDATE images SET acquired_on = NULL, acquired_time = NULL, laterality = NULL, spacing_mm = NULL, spacing_at = NULL,
           facts_read = false, rows = 256, columns = 256
"""
NO_LABELS = """
    WITH gone AS (DELETE FROM labelled_texts), too AS (DELETE FROM finding_labels)
    UPDATE summaries SET asserted = NULL, uncertain = NULL
"""
_STUDIES = "xraygpt_core.ledger.studies"
FILLS = {
    "facts": Fill(("workers.facts", f"{_STUDIES}.fill_facts"), films, fill_in_facts, NO_FACTS, with_facts, "images"),
    "seal": Fill(
        *(("workers.seal", f"{_STUDIES}.fill_numbers"), films, fill_in_numbers),
        *("DELETE FROM sealed_numbers", with_numbers, "object_keys"),
    ),
    "relabel": Fill(
        *(("workers.relabel", "xraygpt_core.ledger.card.relabel"), drafts, lambda bench: relabel(bench.ledger)),
        *(NO_LABELS, with_labels, "summaries"),
    ),
}


@contextmanager
def holding_the_second_page(url: str, table: str) -> Iterator[None]:
    """The command's second transaction waits for a row of its page until the block ends."""
    name = "image_id" if table == "object_keys" else "id"
    fourth = f"SELECT {name} FROM {table} ORDER BY {name} OFFSET 3 LIMIT 1"
    with psycopg.connect(url) as connection:
        connection.execute(f"SELECT FROM {table} WHERE {name} = ({fourth}) FOR UPDATE")
        yield
        connection.rollback()


@pytest.mark.parametrize("name", FILLS)
def test_what_is_killed_in_the_middle_and_run_again_leaves_the_same_rows(
    bench: Bench, database_url: str, name: str
) -> None:
    fill = FILLS[name]
    fill.given(bench)
    none = fill.rows(bench)
    fill.run(bench)
    whole = fill.rows(bench)
    with bench.ledger.work() as work:
        work.run(fill.undo)
    assert fill.rows(bench) == none

    with holding_the_second_page(database_url, fill.table):
        process = bench.run("-c", SMALL_PAGES, *fill.module, name=name, **SEALED)
        eventually(lambda: process.poll() is not None or bench.value(WAITS), "its second transaction begins")
        assert process.poll() is None, bench.log()
        process.kill()
        process.wait()
    half = fill.rows(bench)
    assert none != half != whole

    fill.run(bench)
    assert fill.rows(bench) == whole
