"""How well the checker of rewrites tells true ones from false ones, and what curation keeps of a real collection.

True and false rewrites are made by rules that know nothing of the checker. It was built on the reports of one half; the
figures are those of the other half. Without ``--reports`` only reports of phantoms are at hand, which say less.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.curation_changes import KINDS, donors_of, plant
from benchmarks.curation_texts import paraphrase, sentences
from benchmarks.figures import Row, report, say, tell
from training_jobs.curation.cleaning import without_marks
from training_jobs.curation.rules import reason_to_drop
from training_jobs.curation.run import Plan, Source, curate
from training_jobs.curation.sources import read_reports, reader_of
from xraygpt_core.phantoms.findings import draw_labels
from xraygpt_core.phantoms.wording import DEVICE_NAMES, write_report
from xraygpt_core.report.faithful import objections

Report = tuple[str, str]  # findings, impression
COUNT = 200  # of each kind


def of_phantoms(count: int) -> list[Report]:
    """Reports of phantoms that the paper's rules would keep."""
    rng = np.random.default_rng(11)
    names = list(DEVICE_NAMES)
    made: list[Report] = []
    while len(made) < count:
        labels = draw_labels(rng)
        devices = [names[int(rng.integers(len(names)))]] if "device" in labels else []
        text = write_report(rng, labels, "PA", devices)
        if reason_to_drop(text.findings, text.impression) is None:
            made.append((text.findings, text.impression))
    return made


def of_source(path: Path, half: int) -> list[Report]:
    """Every second report that the paper's rules keep, without its marks of de-identification."""
    records = read_reports(path, reader_of(path), {}, None)
    kept = [one for one in records if reason_to_drop(one.findings, one.impression) is None]
    return [(without_marks(one.findings), without_marks(one.impression)) for one in kept[half::2]]


def measure(name: str, reports: Sequence[Report], seed: int, count: int = COUNT, shown: int = 0) -> list[Row]:
    """The share of false rewrites that are objected to, by kind and over all, and that of true ones."""
    rng = random.Random(seed)
    donors = donors_of(reports)
    rows, caught, planted = [], 0, 0
    for kind in KINDS:
        found: list[bool] = []
        for findings, impression in rng.sample(reports, len(reports)):
            changed = plant(kind, findings, impression, donors, rng)
            if changed is None or len(found) == count:
                continue
            found.append(bool(objections(f"{findings}\n{impression}", changed.text)))
            if not found[-1] and shown:
                say(f"missed, {kind}: {changed.what}")
        rows.append(_share(f"{name}.caught.{kind}", found))
        caught, planted = caught + sum(found), planted + len(found)
    rows.append(tell(Row(f"{name}.caught", caught / max(planted, 1), f"{caught} of {planted}")))
    begun, wrong = time.process_time(), []
    for findings, impression in rng.sample(reports, min(count, len(reports))):
        text = paraphrase(sentences(findings), sentences(impression), rng)
        against = objections(f"{findings}\n{impression}", text)
        wrong.append(bool(against))
        if against and shown:
            say(f"wrong: {against[0].words}")
    cost = (time.process_time() - begun) / max(len(wrong), 1)
    return [*rows, _share(f"{name}.objected_to_faithful", wrong), tell(Row(f"{name}.cost", cost * 1000, "ms"))]


def kept_of(path: Path) -> list[Row]:
    """What the rules keep, and what is left after the rewriting by rules."""
    rows = []
    for way in ("as-is", "rules"):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            result = curate(Source(path, reader_of(path)), Path(folder) / "out", Plan(way))
            rows.append(tell(Row(f"curation.{way}.kept", result["kept"], f"of {result['read']}")))
            rows.append(tell(Row(f"curation.{way}.reports", result["read"] / (time.monotonic() - begun), "1/s")))
        for reason, number in result["dropped"].items():
            rows.append(tell(Row(f"curation.{way}.{reason}", number, f"of {result['read']}")))
    return rows


def _share(name: str, marks: Sequence[bool]) -> Row:
    return tell(Row(name, sum(marks) / max(len(marks), 1), f"{sum(marks)} of {len(marks)}"))


def main() -> None:
    """Measure on reports of phantoms, and on a collection if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=Path, help="Open-i's XML reports or another source of `xraygpt curate`")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="0: the half it was built on")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--show", type=int, default=0, help="say what was missed, and what was objected to wrongly")
    parser.add_argument("--full", action="store_true", help="accepted, and changes nothing")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measure("checker.phantoms", of_phantoms(600), asked.seed, shown=asked.show)
    if asked.reports:
        rows += measure("checker.reports", of_source(asked.reports, asked.half), asked.seed, shown=asked.show)
        rows += kept_of(asked.reports)
    report(rows, as_json=asked.json)


if __name__ == "__main__":
    main()
