"""The options of ``python -m training_jobs curate``. Nothing heavy is imported here."""

import argparse
from pathlib import Path

READERS = ("open-i", "mimic-cxr", "csv", "jsonl")


def add_curation(job: argparse.ArgumentParser) -> None:
    """Add them."""
    job.add_argument("source", type=Path, help="a folder, .zip, .tar, .tgz, .csv(.gz) or .jsonl(.gz) of reports")
    job.add_argument(
        "--reader", choices=("auto", *READERS), default="auto", help="the source's layout; auto looks at its name"
    )
    job.add_argument(
        "--column", action="append", default=[], metavar="OURS=THEIRS", help="name of a column; may be repeated"
    )
    job.add_argument("--images", type=Path, help="the folder of MIMIC-CXR-JPG, whose films the pairs then name")
    job.add_argument("--first", type=_count, metavar="N", help="only the first N reports")
    job.add_argument("--out", type=Path, help="a folder for all files, or a FILE.jsonl for the kept texts alone")
    job.add_argument("--rules-only", action="store_true", help="drop by the rules, change no text")
    add_endpoint(job)
    own = job.add_argument_group("by a bundle's own language model")
    own.add_argument("--base", type=Path, metavar="BUNDLE", help="directory of the bundle")
    own.add_argument("--device", default="auto")
    both = job.add_argument_group("by either")
    both.add_argument("--prompts", type=Path, help="a folder with system.txt, summary.txt and again.txt of your own")
    both.add_argument("--parallel", type=_count, default=4, metavar="N", help="reports at once")
    both.add_argument("--max-answer-tokens", type=_count, default=384, metavar="N")
    both.add_argument("--dry-run", action="store_true", help="say what it would take, and ask nobody")


def add_endpoint(job: argparse.ArgumentParser) -> None:
    """Those of a model behind an endpoint, and of what it may use."""
    way = job.add_argument_group("by a model behind an OpenAI-compatible endpoint")
    way.add_argument("--endpoint", metavar="URL", help="its address; its key is in XRAYGPT_CURATE_API_KEY")
    way.add_argument("--model", help="the model's name there")
    way.add_argument("--send-reports-out", action="store_true", help="report texts may leave this machine")
    way.add_argument("--requests-per-minute", type=_positive, metavar="N")
    way.add_argument("--tokens-per-minute", type=_positive, metavar="N")
    way.add_argument("--max-tokens-in-all", type=_count, metavar="N", help="stop before more tokens are used")
    way.add_argument("--max-cost", type=_positive, metavar="X", help="stop before more is spent, in the prices' unit")
    way.add_argument("--price-in", type=_positive, default=0.0, metavar="X", help="of a million tokens of prompt")
    way.add_argument("--price-out", type=_positive, default=0.0, metavar="X", help="of a million tokens of answer")
    way.add_argument("--timeout", type=_positive, default=60.0, metavar="SECONDS", help="for one answer")


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number < 10**9:
        raise ValueError(text)
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e12:
        raise ValueError(text)
    return number
