"""How often drafts are marked as contradicting themselves: where they should be, and where they should not.

Reports of phantoms agree with themselves, so each mark is wrong; each change made to them should be found, so each miss
is wrong too. A folder or tar of Open-i's XML reports shows what radiologists' own reports are marked for (``--show``
prints some), and ``--drafts`` lets a bundle write about phantoms first.
"""

import argparse
import random
import re
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmarks.figures import Row, report, say, tell
from xraygpt_core.model.bundle import read_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.phantoms.findings import PhantomReport, draw_labels
from xraygpt_core.phantoms.wording import DEVICE_NAMES, write_report
from xraygpt_core.report.consistency import Contradiction, contradictions
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.sections import split_report

_HIDDEN = re.compile(r"\bX{2,}\b ?")  # what Open-i's authors took out
_CALM = ("No acute abnormality.", "No acute cardiopulmonary disease.", "Normal chest radiograph.")
_ACUTE = ("effusion", "pneumothorax", "consolidation")

Marked = tuple[Contradiction, ...]


def reports(count: int) -> Iterator[tuple[frozenset[str], PhantomReport]]:
    """Labels of a phantom and the report of them, with the view PA."""
    rng = np.random.default_rng(7)
    names = list(DEVICE_NAMES)
    for _ in range(count):
        labels = draw_labels(rng)
        devices = [names[int(rng.integers(len(names)))]] if "device" in labels else []
        yield labels, write_report(rng, labels, "PA", devices)


def of_phantoms(count: int) -> list[Row]:
    """Shares of phantoms' reports that are marked: as they are, and with one thing wrong."""
    marks: dict[str, list[bool]] = {}

    def note(name: str, found: Marked) -> None:
        marks.setdefault(name, []).append(bool(found))

    before: PhantomReport | None = None
    for labels, text in reports(count):
        note("as_written", contradictions(text.findings, text.impression, "PA"))
        note("another_view", contradictions(text.findings, text.impression, "AP"))
        mirrored = _mirrored(text.impression)
        if _labels(mirrored) - _labels(text.findings):
            note("mirrored", contradictions(text.findings, mirrored, "PA"))
        if before is not None and _labels(before.impression) - _labels(text.findings):
            note("another_impression", contradictions(text.findings, before.impression, "PA"))
        if any(label.startswith(_ACUTE) for label in labels):
            note("calm", contradictions(text.findings, _CALM[len(marks["as_written"]) % 3], "PA"))
        before = text
    return [_share(f"contradictions.phantoms.{name}", found) for name, found in marks.items()]


def of_radiologists(source: Path, shown: int) -> list[Row]:
    """The share of real reports that is marked, by kind, and what one costs."""
    pairs = [pair for pair in _open_i(source) if all(pair)]
    begun = time.process_time()
    found = [contradictions(findings, impression, None) for findings, impression in pairs]
    cost = (time.process_time() - begun) / len(pairs)
    marked = [(pair, one) for pair, one in zip(pairs, found, strict=True) if one]
    for _, one in random.Random(0).sample(marked, min(shown, len(marked))):
        for each in one:
            say(f"{each.kind}: {each.one!r} / {each.other!r}")
    rows = [_share("contradictions.radiologists", [bool(one) for one in found])]
    return [*rows, *_kinds("contradictions.radiologists", found), tell(Row("contradictions.cost", cost * 1000, "ms"))]


def of_bundle(name: str, count: int) -> list[Row]:
    """The share of a bundle's drafts about held-out phantoms that is marked, by kind."""
    from training_jobs.drawers.drawings import draw, phantoms
    from training_jobs.evaluation.generating import summaries
    from xraygpt_core.training.config import Phantoms  # torch, only where it is needed

    drawn = [draw(drawing) for drawing in phantoms(Phantoms(count, 0, "held_out"))]
    notify: Callable[[int, int], None] = lambda done, total: done % 50 or say(f"{done} of {total}")  # noqa: E731
    texts = summaries(read_bundle(models_dir() / name), [one.png for one in drawn], 16, notify)
    found = []
    for text, one in zip(texts, drawn, strict=True):
        parts = split_report(text)
        found.append(contradictions(parts.findings, parts.impression, one.view, text))
    return [_share(f"contradictions.{name}", [bool(one) for one in found]), *_kinds(f"contradictions.{name}", found)]


def _kinds(name: str, found: list[Marked]) -> list[Row]:
    kinds = Counter(kind for one in found for kind in {each.kind for each in one})
    return [tell(Row(f"{name}.{kind}", float(number), f"of {len(found)}")) for kind, number in sorted(kinds.items())]


def _share(name: str, marks: list[bool]) -> Row:
    return tell(Row(name, sum(marks) / len(marks), f"{sum(marks)} of {len(marks)}"))


def _labels(text: str) -> frozenset[str]:
    return label_report(f"Findings: {text}")


def _mirrored(text: str) -> str:
    other = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"\b([Ll]eft|[Rr]ight)\b", lambda match: other[match[0]], text)


def _open_i(source: Path) -> Iterator[tuple[str, str]]:
    """(findings, impression) of each XML report; either may be empty."""
    files = (path.read_bytes() for path in sorted(source.rglob("*.xml")))
    texts = files if source.is_dir() else _members(source)
    for text in texts:
        root = ElementTree.fromstring(text)
        parts = {part.get("Label"): _HIDDEN.sub("", part.text or "").strip() for part in root.iter("AbstractText")}
        yield parts.get("FINDINGS", ""), parts.get("IMPRESSION", "")


def _members(source: Path) -> Iterator[bytes]:
    with tarfile.open(source) as tar:
        for member in tar:
            if member.name.endswith(".xml") and (file := tar.extractfile(member)) is not None:
                yield file.read()


def main() -> None:
    """Measure what was asked for; phantoms' reports always."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=Path, help="Open-i's XML reports, a folder or a tar")
    parser.add_argument("--show", type=int, default=0, help="print so many of the marked ones")
    parser.add_argument("--drafts", metavar="BUNDLE", help="let this bundle write about 200 phantoms")
    parser.add_argument("--count", type=int, default=2000, help="reports of phantoms")
    parser.add_argument("--full", action="store_true", help="accepted, and changes nothing")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = of_phantoms(asked.count)
    if asked.reports:
        rows += of_radiologists(asked.reports, asked.show)
    if asked.drafts:
        rows += of_bundle(asked.drafts, 200)
    report(rows, as_json=asked.json)


if __name__ == "__main__":
    main()
