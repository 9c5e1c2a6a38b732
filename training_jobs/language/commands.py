"""What ``python -m training_jobs`` offers beside tuning: ``select`` and ``merge``."""

import argparse
from pathlib import Path
from typing import Any

NAMES = ("select", "merge")


def add_parsers(jobs: Any) -> None:
    """Their options, on the subparsers of the command line."""
    select = jobs.add_parser("select", help="write the dialogues that meet a keyword list to a file of their own")
    select.add_argument("--conversations", type=Path, nargs="+", required=True, help="ChatDoctor's or FastChat's JSON")
    select.add_argument("--keywords", help="a list's name (radiology, chest-imaging); without: all that can be used")
    select.add_argument("--out", type=Path, required=True, help="the file to write, in FastChat's form")
    merge = jobs.add_parser("merge", help="a language model with its adapter merged in, as a Hugging Face folder")
    merge.add_argument("--base", type=Path, required=True, help="directory of the bundle the adapter was trained on")
    merge.add_argument("--adapter", type=Path, help="the adapter's folder; without: the bundle's own")
    merge.add_argument("--out", type=Path, required=True, help="the folder to write")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One of them; what it prints.

    Raises:
        TrainingError, BundleError: it cannot be done.
    """
    if options.job == "select":
        from training_jobs.language.select import select

        return select(options.conversations, options.keywords, options.out)
    from training_jobs.language.tuning import merge
    from xraygpt_core.model.bundle import read_bundle

    return merge(read_bundle(options.base), options.adapter, options.out)
