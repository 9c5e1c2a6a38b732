"""What ``python -m training_jobs`` offers about texts that are written: ``published``, ``judge``, ``paper-table`` and
``rexrank``. Nothing heavy is imported here.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from training_jobs.curation.command import MACHINE_FAILED, STOPPED
from training_jobs.curation.options import add_endpoint
from training_jobs.curation.run import Stopped
from xraygpt_core.errors import TrainingError
from xraygpt_core.plain_text import plain_text

NAMES = ("published", "judge", "paper-table", "rexrank")
JUDGES = ("green", "crimson", "preference")


def add_parsers(jobs: Any) -> None:
    """Their options, on the subparsers of the command line."""
    _add_published(jobs.add_parser("published", help="published metrics of texts, by their authors' packages"))
    _add_judge(jobs.add_parser("judge", help="a language model judges texts: GREEN, CRIMSON, or which of two fits"))
    _add_paper(jobs.add_parser("paper-table", help="the four rows of the XrayGPT paper's table, ours beside theirs"))
    _add_rexrank(jobs.add_parser("rexrank", help="write a bundle's texts as the leaderboard ReXrank takes them"))


def run(options: argparse.Namespace) -> int:
    """One of them, its result as JSON on stdout. 0: done; 75: stopped, 74: the disk; the same command goes on.

    Raises:
        TrainingError, BundleError: it cannot be done.
    """
    jobs = {"published": _published, "judge": _judge, "paper-table": _paper, "rexrank": _rexrank}
    try:
        print(json.dumps(jobs[options.job](options), indent=2))  # noqa: T201
    except (Stopped, OSError) as error:
        words = f"training_jobs {options.job}: {error}"
        print(plain_text(words, lines=False), file=sys.stderr)  # noqa: T201
        return MACHINE_FAILED if isinstance(error, OSError) else STOPPED
    return 0


def _published(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.evaluation.published import METRICS, Way, published_scores
    from training_jobs.evaluation.texts import read_text_pairs

    way = Way(options.python, options.device, options.allow_downloads)
    found: dict[str, Any] = published_scores(read_text_pairs(options.texts), options.metric or METRICS, way)
    return found


def _judge(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.curation.stopping import stopping_on_signals
    from training_jobs.evaluation.judges.judging import Judging, verdicts_of
    from training_jobs.evaluation.judges.models import asking_of
    from training_jobs.evaluation.judges.preference import Preference, agreement, read_choices, rivals
    from training_jobs.evaluation.texts import read_text_pairs

    pairs = read_text_pairs(options.texts)
    compares = options.judge == "preference"
    if compares != (options.other is not None) or (options.persons is not None and not compares):
        raise TrainingError("preference, and no other judge, needs --other FILE and takes --persons FILE")
    persons = read_choices(options.persons) if options.persons is not None else None
    judging: Judging[Any]
    if compares:
        both = rivals(pairs, read_text_pairs(options.other))
        judging = Judging(Preference(), both, asking_of(options, None), options.out)
    else:
        judge, template = _scoring(options)
        judging = Judging(judge, pairs, asking_of(options, template), options.out)
    with stopping_on_signals() as stop:
        result = judging.run(stop, notify)
    return result if persons is None else result | {"agreement": agreement(verdicts_of(options.out), persons)}


def _scoring(options: argparse.Namespace) -> tuple[Any, Any]:
    """The judge of one text, and the template its own model was tuned with."""
    if options.judge == "green":
        from training_jobs.evaluation.judges.green import TEMPLATE, Green

        return Green(), TEMPLATE
    from training_jobs.evaluation.judges.crimson import Crimson, packaged_prompt

    return Crimson(packaged_prompt(guidelines=not options.no_guidelines)), None


def _paper(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.evaluation.paper import markdown, paper_table
    from xraygpt_core.model.bundle import read_bundle

    rows = [text.partition("=") for text in options.row]
    if wrong := [name for name, equals, folder in rows if not (equals and folder)]:
        raise TrainingError(f"--row {wrong[0]} is not NAME=BUNDLE_DIR")
    bundles = {name: read_bundle(Path(folder)) for name, _, folder in rows}
    batch, device = options.batch, options.device
    table = paper_table(bundles, options.data, options.split, options.out, batch=batch, device=device, notify=notify)
    (options.out / "table.md").write_text(markdown(table), encoding="utf-8")
    return table


def _rexrank(options: argparse.Namespace) -> dict[str, Any]:
    from training_jobs.evaluation.rexrank import infer
    from xraygpt_core.model.bundle import read_bundle

    bundle = read_bundle(options.base)
    given, out, images = options.input, options.output, options.images
    written = infer(bundle, given, out, images, batch=options.batch, device=options.device, notify=notify)
    return {"studies": written, "bundle": bundle.name, "out": str(out)}


def notify(done: int, total: int) -> None:
    """How far it is, on stderr."""
    print(f"{done}/{total}", file=sys.stderr, flush=True)  # noqa: T201


def _add_published(job: argparse.ArgumentParser) -> None:
    job.add_argument("--texts", type=Path, required=True, help="id, candidate and reference as .jsonl, or ReXrank's")
    job.add_argument("--metric", action="append", choices=("chexbert", "radgraph", "radcliq", "ratescore", "bertscore"))
    job.add_argument("--python", default=sys.executable, help="the interpreter that has their packages")
    job.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    job.add_argument("--allow-downloads", action="store_true", help="their weights may be fetched")


def _add_judge(job: argparse.ArgumentParser) -> None:
    job.add_argument("judge", choices=JUDGES)
    job.add_argument("--texts", type=Path, required=True, help="id, candidate and reference as .jsonl, or ReXrank's")
    job.add_argument("--other", type=Path, help="of preference: the texts to compare with")
    job.add_argument("--persons", type=Path, help="of preference: a person's choices, to agree with")
    job.add_argument("--out", type=Path, required=True, help="a folder for the answers and the result")
    job.add_argument(
        "--no-guidelines", action="store_true", help="of crimson: the short prompt, for its tuned MedGemma"
    )
    add_endpoint(job)
    own = job.add_argument_group("by a language model on our own engine")
    own.add_argument("--llm", type=Path, metavar="FOLDER", help="a Hugging Face LLaMA folder, for example GREEN's")
    own.add_argument("--base", type=Path, metavar="BUNDLE", help="directory of a bundle, whose LLM judges")
    own.add_argument("--device", default="auto")
    both = job.add_argument_group("by either")
    both.add_argument("--parallel", type=int, choices=range(1, 257), default=8, metavar="1…256", help="texts at once")
    both.add_argument("--max-answer-tokens", type=int, choices=range(1, 8193), default=1024, metavar="1…8192")
    job.set_defaults(dry_run=False)


def _add_paper(job: argparse.ArgumentParser) -> None:
    names = "minigpt4, medclip, medvicuna or xraygpt"
    job.add_argument("--row", action="append", default=[], metavar="NAME=BUNDLE_DIR", help=f"NAME is {names}")
    job.add_argument("--data", type=Path, required=True, help="a mixture's TOML file, or a data directory of films")
    job.add_argument("--split", default="test", choices=("train", "val", "test"))
    job.add_argument("--out", type=Path, required=True, help="a folder for the texts and the table")
    job.add_argument("--batch", type=int, default=32)
    job.add_argument("--device", default="auto")


def _add_rexrank(job: argparse.ArgumentParser) -> None:
    job.add_argument("input", type=Path, help="the leaderboard's JSON of studies")
    job.add_argument("output", type=Path, help="the file to write")
    job.add_argument("images", type=Path, help="the folder below which the studies' image paths lie")
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle")
    job.add_argument("--batch", type=int, default=32)
    job.add_argument("--device", default="auto")
