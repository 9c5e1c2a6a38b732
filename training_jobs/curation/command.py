"""``python -m training_jobs curate``: from its options to a curation, and its counts as JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_jobs.curation.budget import Budget, Limits
from training_jobs.curation.endpoint import Endpoint, EndpointModel, check_endpoint, key_from_environment
from training_jobs.curation.estimate import estimate
from training_jobs.curation.prompts import read_prompts
from training_jobs.curation.rewriters import Model
from training_jobs.curation.run import Plan, Source, Stopped, curate
from training_jobs.curation.sources import reader_of
from training_jobs.curation.stopping import stopping_on_signals
from xraygpt_core.errors import TrainingError
from xraygpt_core.plain_text import plain_text

MACHINE_FAILED = 74  # EX_IOERR of sysexits.h
STOPPED = 75  # EX_TEMPFAIL of sysexits.h, as a stage with a checkpoint


def run_curation(options: argparse.Namespace) -> int:
    """Run it. 0: done, counts on stdout; 75: stopped, 74: no room; the same command goes on.

    Raises:
        TrainingError: options that do not fit, or as :func:`curate`.
    """
    source, plan, out = _source(options), _plan(options), options.out
    if out is not None and out.suffix != ".jsonl" and out.exists() and not out.is_dir():
        raise TrainingError(f"--out: {out} is a file; name a folder, or a file that ends in .jsonl")
    if options.dry_run:
        _print(estimate(source, plan))
        return 0
    try:
        with stopping_on_signals() as stop:
            _print(curate(source, out, plan, stop))
    except Stopped as error:
        print(plain_text(f"training_jobs curate: {error}", lines=False), file=sys.stderr)  # noqa: T201
        return STOPPED
    except OSError as error:  # a full disk, a folder that may not be written
        words = f"training_jobs curate: {error}; what is done is kept, start the same command again to go on"
        print(plain_text(words, lines=False), file=sys.stderr)  # noqa: T201
        return MACHINE_FAILED
    return 0


def _source(options: argparse.Namespace) -> Source:
    path: Path = options.source
    reader = reader_of(path) if options.reader == "auto" else options.reader
    if not path.exists():
        raise TrainingError(f"there is no {path}")
    columns = dict(_column(text) for text in options.column)
    if columns and reader not in ("csv", "jsonl"):
        raise TrainingError(f"--column is for csv and jsonl, not for {reader}")
    if options.images is not None and not options.images.is_dir():
        raise TrainingError(f"--images: there is no folder {options.images}")
    if options.images is not None and reader != "mimic-cxr":
        raise TrainingError(f"--images is for mimic-cxr, not for {reader}")
    return Source(path, reader, columns, options.images, options.first)


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise TrainingError(f"--column {text} is not OURS=THEIRS")
    return ours, theirs


def _plan(options: argparse.Namespace) -> Plan:
    asked = [
        name
        for name, chosen in (
            ("--rules-only", options.rules_only),
            ("--endpoint", options.endpoint is not None),
            ("--base", options.base is not None),
        )
        if chosen
    ]
    if len(asked) > 1:
        raise TrainingError(f"{' and '.join(asked)} are two ways: choose one")
    if not asked or options.rules_only:
        if options.dry_run:
            raise TrainingError("--dry-run says what a model would take: name one with --endpoint or --base")
        return Plan("as-is" if options.rules_only else "rules")
    if options.out is None and not options.dry_run:
        raise TrainingError("a model's answers are kept in a folder: name it with --out")
    prompts = read_prompts(options.prompts)
    limits = limits_of(options)
    make, name = endpoint_of(options) if options.endpoint is not None else _bundle(options)
    way = "endpoint" if options.endpoint is not None else "bundle"
    return Plan(way, prompts, make, name, limits, options.parallel)


def limits_of(options: argparse.Namespace) -> Limits:
    """What a model behind an endpoint may use. Raises TrainingError for a cost without prices."""
    limits = Limits(
        options.requests_per_minute,
        options.tokens_per_minute,
        options.max_tokens_in_all,
        options.max_cost,
        options.price_in,
        options.price_out,
    )
    if limits.most_cost is not None and not (limits.price_in or limits.price_out):
        raise TrainingError("--max-cost needs --price-in and --price-out")
    return limits


def endpoint_of(options: argparse.Namespace) -> tuple[Callable[[Budget], Model], str]:
    """What makes the model behind an endpoint, and its name.

    Raises:
        TrainingError: it has no name, or texts would leave this machine unasked.
    """
    if not options.model:
        raise TrainingError("--endpoint needs --model, the model's name there")
    if not options.dry_run:
        check_endpoint(options.endpoint, send_out=options.send_reports_out)
    endpoint = Endpoint(options.endpoint, options.model, options.max_answer_tokens, options.timeout)
    return lambda budget: EndpointModel(endpoint, budget, key_from_environment()), options.model


def _bundle(options: argparse.Namespace) -> tuple[Callable[[Budget], Model], str]:
    from xraygpt_core.model.bundle import read_bundle

    bundle = read_bundle(options.base)

    def make(budget: Budget) -> Model:
        from training_jobs.curation.text_engine import TextEngine  # torch, only where it is needed

        del budget  # it costs nothing
        return TextEngine(
            bundle, device=options.device, batch_size=options.parallel, max_new_tokens=options.max_answer_tokens
        )

    return make, bundle.sha256


def _print(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=2))  # noqa: T201
