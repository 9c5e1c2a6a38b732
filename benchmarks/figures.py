"""What a benchmark reports: rows of figures, the machine they were measured on, and how both are printed."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        value: None where it could not be measured; ``unit`` then says why.
        baseline: the same figure of what is compared with, measured in the same run.
        ratio: ``value / baseline``.
    """

    name: str
    value: float | None
    unit: str
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        return round(self.value / self.baseline, 3) if self.value is not None and self.baseline else None


def arguments(description: str | None) -> argparse.Namespace:
    """``--full`` and ``--json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--full", action="store_true", help="the sizes that take longer than 15 minutes, too")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--only", action="append", metavar="PART", help="this part alone; may be repeated")
    return parser.parse_args()


def rows_of(
    parts: Mapping[str, Callable[[], list["Row"]]], asked: argparse.Namespace, long: Collection[str]
) -> list["Row"]:
    """What the parts that were asked for measure; by default all, the long ones with ``--full`` alone."""
    chosen = asked.only or [name for name in parts if asked.full or name not in long]
    return [row for name in chosen for row in parts[name]()]


def machine() -> str:
    """Processor count, architecture, memory and system; no name of the host."""
    gibibytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} {platform.machine()} cores, {gibibytes:.0f} GiB, {platform.system()}"


def say(line: str) -> None:
    """One line of progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def tell(row: Row) -> Row:
    """Say a figure as soon as it is known: a run that is stopped has not been for nothing."""
    say(f"{row.name} {row.value:.6g} {row.unit}")
    return row


def report(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print all rows: a JSON document, or a Markdown table as it stands in RESULTS.md."""
    if as_json:
        document = {"machine": machine(), "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}
        print(json.dumps(document, indent=2))
        return
    print(f"Machine: {machine()}\n\n| name | value | unit | baseline | ratio |\n|---|---|---|---|---|")
    for row in rows:
        baseline = "" if row.baseline is None else f"{row.baseline:.6g}"
        value = "null" if row.value is None else f"{row.value:.6g}"
        print(f"| {row.name} | {value} | {row.unit} | {baseline} | {row.ratio or ''} |")


def peak_mib() -> float:
    """The largest resident memory of this process so far (proc(5), VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
