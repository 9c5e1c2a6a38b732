"""``python -m training_jobs evaluate``, ``evaluate-labeller`` and ``preferences``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training_jobs.evaluation import preferences
from xraygpt_core.errors import TrainingError

if TYPE_CHECKING:
    from training_jobs.evaluation.cases import Case, Writer

NAMES = ("evaluate", "evaluate-labeller", "preferences")


def add_parsers(jobs: Any) -> None:
    """Their options, on the subparsers of the command line."""
    job = jobs.add_parser("evaluate", help="score a bundle on drawn or on real films")
    job.add_argument("--base", type=Path, help="directory of the bundle to score")
    job.add_argument("--drawer", default="phantoms", help="who draws the films")
    job.add_argument("--count", type=int, default=200, help="number of drawn films")
    job.add_argument("--seed", type=int, default=0, help="first seed")
    job.add_argument("--population", choices=("train", "held_out"), default="held_out")
    job.add_argument("--films", type=Path, help="score on the films of this data directory instead")
    job.add_argument("--split", default="test")
    job.add_argument("--only", default="", help="films whose path begins so, such as images/nih/")
    job.add_argument("--texts", type=Path, help="also write the texts to this file")
    job.add_argument("--from", type=Path, dest="saved", help="score the texts of such a file; no bundle is needed")
    job.add_argument("--table", action="store_true", help="print Markdown instead of JSON")
    job.add_argument("--batch", type=int, default=32)
    job.add_argument("--device", default="auto")
    labeller = jobs.add_parser("evaluate-labeller", help="score the labeller against tags that people gave")
    given = labeller.add_mutually_exclusive_group(required=True)
    given.add_argument("--reports", type=Path, help="a folder or archive of Open-i's XML reports, with MeSH tags")
    given.add_argument("--manifest", type=Path, help="a data directory, whose NIH labels are compared with its texts")
    labeller.add_argument("--table", action="store_true", help="print Markdown instead of JSON")
    preferences.add_parser(jobs)


def run(options: argparse.Namespace) -> dict[str, Any] | str:
    """One of them: what it prints, a document or Markdown.

    Raises:
        TrainingError, BundleError: it cannot be done.
    """
    if options.job == "preferences":
        return preferences.run(options)
    if options.job == "evaluate-labeller":
        from training_jobs.evaluation.labeller import labeller_on_films, labeller_on_reports

        chosen = options.reports is not None
        result = labeller_on_reports(options.reports) if chosen else labeller_on_films(options.manifest)
    else:
        result = _films(options) if options.films is not None else _drawn(options)
    if not options.table:
        return result
    from training_jobs.evaluation.tables import tables

    return tables(result)


def _films(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.corpora.scored_films import films, most_frequent_text
    from training_jobs.evaluation.films import film_cases, score_films

    write = _writer(options)
    cases = film_cases(options.films, options.split, options.only)
    usual = most_frequent_text(films(options.films, "train", options.only))
    return score_films(cases, *_texts(options, cases, write), usual)


def _drawn(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.evaluation.phantoms import drawn_cases, score_drawn

    write = _writer(options)
    cases = drawn_cases(options.drawer, options.count, options.seed, options.population)
    return score_drawn(cases, *_texts(options, cases, write))


def _texts(options: argparse.Namespace, cases: "Sequence[Case]", write: "Writer") -> tuple[list[str], str]:
    from training_jobs.evaluation.cases import write_all
    from training_jobs.evaluation.saved import save

    texts, blank = write_all(cases, write)
    if options.texts is not None:
        save(options.texts, cases, texts, blank)
    return texts, blank


def _writer(options: argparse.Namespace) -> "Writer":
    if options.saved is not None:
        from training_jobs.evaluation.saved import saved_texts

        return saved_texts(options.saved)
    if options.base is None:
        raise TrainingError("name a bundle with --base, or a file of texts with --from")
    from training_jobs.evaluation.generating import summaries
    from xraygpt_core.model.bundle import read_bundle

    return partial(summaries, read_bundle(options.base), batch=options.batch, notify=_notify, device=options.device)


def _notify(done: int, total: int) -> None:
    print(f"{done}/{total}", file=sys.stderr, flush=True)  # noqa: T201
