"""``python -m training_jobs`` JOB, of which ``--help`` has the list: parse, one call."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from training_jobs import stage_commands as stages
from training_jobs.curation.options import add_curation
from training_jobs.evaluation import commands as evaluation
from training_jobs.evaluation import judging_commands
from training_jobs.language import commands
from training_jobs.learning.leaving import leave
from training_jobs.recipe import commands as recipe
from training_jobs.stage_commands import read_config
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.plain_text import plain_text


def main(arguments: list[str] | None = None) -> int:
    """Run one job; its exit code (0, 1, 74, 75: docs/training.md; 2: wrong usage)."""
    options = _parser().parse_args(arguments)
    try:
        if options.job == "curate":
            from training_jobs.curation.command import run_curation

            return run_curation(options)
        if options.job in commands.NAMES:
            _print(commands.run(options))
            return 0
        if options.job == "average":
            from training_jobs.stages.average import average

            average(options.kind, options.projectors, options.out)
            return 0
        if options.job == "check":
            return _check(options)
        if options.job == "chest-check":
            return _chest_check(options)
        if options.job == "encode":
            return _encode(options)
        if options.job == "report":
            return _report(options)
        if options.job in evaluation.NAMES:
            _print(evaluation.run(options))
            return 0
        if options.job in judging_commands.NAMES:
            return judging_commands.run(options)
        return recipe.run(options) if options.job == recipe.JOB else stages.run(options)
    except XrayGPTError as error:
        print(plain_text(f"training_jobs {options.job}: {error}"), file=sys.stderr)  # noqa: T201
        return 1


def _check(options: argparse.Namespace) -> int:
    from training_jobs.corpora.check import check_mixture
    from training_jobs.corpora.mixtures import mixture_of
    from xraygpt_core.training.mixture import read_mixture

    mixture = read_mixture(options.mixture) if options.mixture else mixture_of(read_config(options.config))
    lines, starts = check_mixture(mixture, quick=options.quick, workers=options.workers, notify=_notify_often)
    print(*lines, sep="\n")  # noqa: T201
    return 0 if starts else 1


def _notify_often(done: int, total: int) -> None:
    if done % 1000 == 0 or done == total:
        _notify(done, total)


def _chest_check(options: argparse.Namespace) -> int:
    from training_jobs.chest.check import make_chest_check
    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.model.compose import CHEST_CHECK_FILE, compose_bundle

    base = read_bundle(options.base)
    measure = [(folder, True) for folder in options.measure_chest]
    measure += [(folder, False) for folder in options.measure_other]
    report = make_chest_check(
        base,
        options.chest,
        options.other,
        options.out,
        measure=measure,
        drawn=options.drawn,
        device=options.device,
        notify=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
    )
    if options.name is not None:
        head = options.out / CHEST_CHECK_FILE
        compose_bundle(base, base.path.parent, options.name, projector=None, adapter=None, chest_check=head)
    _print(report)
    return 0


def _encode(options: argparse.Namespace) -> int:
    from training_jobs.features.encode import encode_shard
    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.model.encoders.tuning import lower_half

    base = read_bundle(options.base)
    encode_shard(
        base if options.below is None else lower_half(base, options.below),
        options.pairs,
        options.images,
        options.out,
        notify=_notify,
        batch=options.batch,
        workers=options.workers,
        device=options.device,
    )
    return 0


def _report(options: argparse.Namespace) -> int:
    from training_jobs.reporting.report import write_report
    from training_jobs.stages.wording import wording_of
    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.training.corpus import read_corpus

    base, config = read_bundle(options.base), read_config(options.config)
    corpora, wording = [read_corpus(folder) for folder in options.corpus], wording_of(base, config)
    write_report(
        options.out,
        base,
        config,
        corpora,
        ask=lambda pair: wording.plain([pair])[0].question,
        notify=_notify,
        device=options.device,
    )
    return 0


def _notify(done: int, total: int) -> None:
    print(f"{done}/{total}", file=sys.stderr, flush=True)  # noqa: T201


def _print(result: dict[str, Any] | str) -> None:
    print(result if isinstance(result, str) else json.dumps(result, indent=2))  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training_jobs", description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True)
    stages.add_parsers(jobs)
    evaluation.add_parsers(jobs)
    mean = jobs.add_parser("average", help="the mean of a projector and its continuations")
    mean.add_argument("projectors", type=Path, nargs="+")
    mean.add_argument("--class", dest="kind", default="MapProjector")
    mean.add_argument("--out", type=Path, required=True, help="the file to write")
    _add_check(jobs.add_parser("check", help="say what is wrong with the sets of a mixture, before a run"))
    _add_chest_check(jobs.add_parser("chest-check", help="make the check whether an image is a chest, for a bundle"))
    commands.add_parsers(jobs)
    judging_commands.add_parsers(jobs)
    recipe.add_parser(jobs)
    _add_encode(jobs.add_parser("encode", help="a shard of features: the images of some pairs through the encoder"))
    _add_report(jobs.add_parser("report", help="the page about a run that is done, with films, texts and controls"))
    add_curation(jobs.add_parser("curate", help="make texts to learn from of radiology reports"))
    return parser


def _add_check(job: argparse.ArgumentParser) -> None:
    given = job.add_mutually_exclusive_group(required=True)
    given.add_argument("--mixture", type=Path, help="a TOML file of sets")
    given.add_argument("--config", type=Path, help="the configuration of a run")
    job.add_argument("--quick", action="store_true", help="look at the first bytes of each film, decode none")
    job.add_argument("--workers", type=int, default=1, choices=range(1, 65), metavar="1…64")


def _add_chest_check(job: argparse.ArgumentParser) -> None:
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle whose encoder it is for")
    job.add_argument("--chest", type=Path, nargs="+", default=[], help="folders of chest films, each one source")
    job.add_argument("--other", type=Path, nargs="+", default=[], help="folders of anything else, each one kind")
    job.add_argument("--measure-chest", type=Path, nargs="+", default=[], help="folders to look at only in the end")
    job.add_argument("--measure-other", type=Path, nargs="+", default=[])
    job.add_argument("--drawn", type=int, default=40, help="pictures by each drawer of what is no chest")
    job.add_argument("--out", type=Path, required=True, help="the head and its report are written here")
    job.add_argument("--name", help="also compose a bundle of this name with it, beside the base")
    job.add_argument("--device", default="auto")


def _add_report(job: argparse.ArgumentParser) -> None:
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle that the run started from")
    job.add_argument("--out", type=Path, required=True, help="the run's folder, with result and progress.jsonl")
    job.add_argument("--config", type=Path, help="the run's settings")
    job.add_argument("--corpus", type=Path, action="append", default=[], help="a corpus it was trained on; repeatable")
    job.add_argument("--device", default="auto")


def _add_encode(job: argparse.ArgumentParser) -> None:
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle whose encoder it is")
    job.add_argument("--pairs", type=Path, required=True, help="a file of pairs, whose images are prepared")
    job.add_argument("--images", type=Path, required=True, help="the folder of their PNGs, each SHA256.png")
    job.add_argument("--out", type=Path, required=True, help="the file to write")
    job.add_argument("--batch", type=int, default=32)
    job.add_argument("--workers", type=int, default=1, help="threads that read images while the encoder computes")
    job.add_argument("--device", default="auto")
    job.add_argument("--below", type=int, metavar="N", help="what lies below the encoder's last N blocks, for stage 0")


if __name__ == "__main__":
    sys.exit(leave(main()))
