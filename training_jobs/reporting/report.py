"""Writes the report of a run that is done. A run is never lost by its report: it is made in a process of its own."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from training_jobs.reporting.board import Board
from training_jobs.reporting.curves import Progress, read_progress
from training_jobs.reporting.examples import Ask, Example, Notify, examples, shown_films
from training_jobs.reporting.facts import dropped_rows, repeatable, set_rows, setting_rows, usual_texts
from training_jobs.reporting.page import Story, page
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.backend import REQUEST_ERRORS
from xraygpt_core.model.bundle import Bundle, file_sha256
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.report.controls import most_frequent_report
from xraygpt_core.training.config import Config
from xraygpt_core.training.corpus import Corpus

FILE = "report.html"  # in the result
_CONFIG = "report-config.json"
_SECONDS = 1800  # the longest a report may take; the result is there meanwhile
_USUAL = 500  # texts that the most frequent one is looked for in
_LOSSES = (
    ("loss", "last training loss"),
    ("held_out", "last held-out loss"),
    ("swapped", "the same with images swapped (control)"),
)
_PARTS = ("projector.safetensors", "projector.pth", "adapter/adapter_model.safetensors")


def write_report(
    out: Path,
    base: Bundle,
    config: Config,
    corpora: Sequence[Corpus],
    *,
    ask: Ask,
    notify: Notify,
    device: str = "auto",
) -> Path:
    """``out/result/report.html``, of the result, the progress and the corpora; whole or not at all.

    Examples that cannot be made do not keep the rest from being written; the page says why there are none.

    Args:
        ask: the question about a pair's film, as it was trained; None asks the bundle's own.
        notify: told how many texts are written, of how many.

    Raises:
        TrainingError: there is no result, or a corpus cannot be read.
        OSError: the disk is full.
    """
    progress = _progress(out)
    examples = _shown(out, base, config, corpora, ask, notify, device)
    story = _story(out, base, config, corpora, progress, examples)
    target = out / "result" / FILE
    work = target.with_name(f".{FILE}.tmp")
    work.write_bytes(page(story))
    work.replace(target)
    _note_texts(out, progress, examples[1])
    return target


def _story(
    out: Path,
    base: Bundle,
    config: Config,
    corpora: Sequence[Corpus],
    progress: Progress | None,
    examples: tuple[str, list[Example], str | None],
) -> Story:
    result = _result(out)
    split, shown, why = examples
    usual = usual_texts(corpora, _USUAL, config.seed) if shown else []
    return Story(
        job=str(result.get("job", "")),
        facts=_facts(out, base, config, corpora, result, progress),
        remarks=[str(remark) for remark in result.get("remarks") or ()],
        sets=set_rows(corpora, config),
        dropped=dropped_rows(corpora),
        settings=setting_rows(config),
        progress=progress,
        split=split,
        examples=shown,
        why_no_examples=why,
        usual=most_frequent_report(usual) if usual else None,
        command=f"python -m training_jobs {result.get('job')} --base {base.name} --out OUT --config config.json",
        config=repeatable(config),
    )


def _result(out: Path) -> dict[str, Any]:
    try:
        result = json.loads((out / "result" / "result.json").read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{out} has no result to report on: {error}") from error
    if not isinstance(result, dict):
        raise TrainingError(f"{out}: result.json is no object")
    return result


def _progress(out: Path) -> Progress | None:
    try:
        return read_progress(out / "progress.jsonl")
    except OSError:
        return None


def _facts(
    out: Path,
    base: Bundle,
    config: Config,
    corpora: Sequence[Corpus],
    result: dict[str, Any],
    progress: Progress | None,
) -> list[tuple[str, str]]:
    rows = [
        ("stage", str(result.get("job"))),
        ("preset", config.preset or "none"),
        ("base", f"{base.name}, bundle.toml {base.sha256}"),
        ("encoder (frozen)", base.encoder + "".join(f", digest {one}" for one in sorted({c.encoder for c in corpora}))),
        ("projector", str(result.get("projector") or base.projector or "none")),
        ("language model", _llm(out / "result")),
        ("seed", str(config.seed)),
    ]
    if progress is not None:
        rows.append(("steps taken", str(progress.steps)))
        rows += [(told, f"{progress.last[name]:.5g}") for name, told in _LOSSES if name in progress.last]
    files = [out / "result" / part for part in _PARTS] + sorted((out / "result" / "llm").glob("*.safetensors"))
    rows += [(str(file.relative_to(out / "result")), f"sha256 {file_sha256(file)}") for file in files if file.is_file()]
    return [*rows, ("software", ", ".join(f"{name} {version(name)}" for name in ("xraygpt", "torch", "transformers")))]


def _llm(result: Path) -> str:
    """What became of the language model, by what the result holds: some stages train it whatever the setting says."""
    if (result / "llm").is_dir():
        return "trained, every weight"
    return "trained, with an adapter (LoRA)" if (result / "adapter").is_dir() else "frozen"


def _shown(
    out: Path, base: Bundle, config: Config, corpora: Sequence[Corpus], ask: Ask, notify: Notify, device: str
) -> tuple[str, list[Example], str | None]:
    """Split and examples, and why there are none."""
    if not corpora or not config.examples:
        return "val", [], "no film was read" if not corpora else "none were asked for"
    split, films = shown_films(corpora, config.examples, config.seed)
    if not films:
        return split, [], "no film lies beside the corpora"
    try:
        with _trained(out, base) as bundle:
            if bundle.projector is None:
                return split, [], "the bundle has no projector yet"
            asked = [ask(pair) for pair, _ in films]
            return split, examples(bundle, films, asked, notify=notify, device=device), None
    except (*REQUEST_ERRORS, OSError) as error:
        return split, [], f"the trained bundle wrote no text ({type(error).__name__}: {error})"


@contextmanager
def _trained(out: Path, base: Bundle) -> Iterator[Bundle]:
    """The base with the result's parts, while the block lasts: hidden beside the base, where links cost nothing."""
    result = out / "result"
    names = ("projector.safetensors", "adapter", "llm")
    projector, adapter, llm = (path if (path := result / name).exists() else None for name in names)
    beside = base.path.parent if os.access(base.path.parent, os.W_OK) else out
    folder = Path(tempfile.mkdtemp(prefix=".report-", dir=beside))
    try:
        yield compose_bundle(base, folder, "trained", projector=projector, adapter=adapter, llm=llm)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _note_texts(out: Path, progress: Progress | None, shown: Sequence[Example]) -> None:
    """The examples' texts into TensorBoard's files."""
    if shown and progress is not None:
        with Board(out) as board:
            told = {f"example {number}": f"{one.pair.text}\n\n---\n\n{one.text}" for number, one in enumerate(shown, 1)}
            board.texts(progress.steps, told)


def report_in_child(out: Path, base: Bundle, config: Config, corpora: Sequence[Corpus]) -> bool:
    """Write the report in another process, after the result: whatever happens to it, the run is done.

    SIGTERM ends the report and not the run. Returns whether it was written; why not stands on stderr.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the report's process needs the device's memory
    file = out / _CONFIG
    command = [sys.executable, "-m", "training_jobs", "report", "--base", str(base.path), "--out", str(out)]
    command += ["--config", str(file), *(word for corpus in corpora for word in ("--corpus", str(corpus.path)))]
    try:
        file.write_text(json.dumps(asdict(config)))
        code = _run(command)
    except (OSError, ValueError) as error:
        _say(f"the report was not written: {error}; the result is complete")
        return False
    finally:
        with suppress(OSError):
            file.unlink()
    if code:
        _say(f"the report was not written (exit {code}); the result is complete")
    return not code


def _run(command: Sequence[str]) -> int:
    """Run to the end, to SIGTERM or to the limit of time; the exit code."""
    child = subprocess.Popen(command)
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        return child.wait(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
