"""``python -m workers.relabel [--json]``: label the texts that the newest version of the labeller has not read.

Drafts, corrections and answers get the findings that they name, a page at a time, while work goes on. Stopped, it goes
on where it was; done, it finds nothing. It prints counts, nothing else.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from workers.headers import ledger_for, run_command
from xraygpt_core.ledger.card.labels import Source
from xraygpt_core.ledger.card.relabel import store_anew, texts_to_label
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.report.text_labels import LABELLER, labels_of
from xraygpt_core.settings import Settings

_PROGRESS_EVERY = 10  # pages


@dataclass
class RelabelReport:
    """How many texts of each kind were labelled, and by which version."""

    labeller: str = LABELLER
    labelled: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))

    @property
    def exit_code(self) -> int:
        return 0

    def document(self) -> dict[str, Any]:
        return {"labeller": self.labeller, "labelled": self.labelled}

    def lines(self) -> list[str]:
        counts = ", ".join(f"{count} {source}s" for source, count in self.labelled.items())
        return [f"labelled by version {self.labeller}: {counts}"]


def relabel(ledger: Ledger) -> RelabelReport:
    """Every text that this version has not read."""
    report = RelabelReport()
    for source in Source:
        after, pages = UUID(int=0), 0
        while page := texts_to_label(ledger, source, after):
            labels = {text_id: labels_of(text) for text_id, text in page.items()}
            report.labelled[source] += store_anew(ledger, source, labels)
            after, pages = max(page), pages + 1
            if pages % _PROGRESS_EVERY == 0:
                print(f"{report.labelled[source]} {source}s labelled", file=sys.stderr)  # noqa: T201
    return report


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.relabel", description=__doc__)
    return run_command(parser, arguments, _relabel)


def _relabel(_: argparse.Namespace, settings: Settings, closing: ExitStack) -> RelabelReport:
    return relabel(ledger_for("relabel", settings, closing))


if __name__ == "__main__":
    sys.exit(main())
