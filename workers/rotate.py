"""``python -m workers.rotate [--begin] [--give-up] [--json]``: replace the pseudonymisation key.

XRAYGPT_HMAC_KEY_FILE is the new key, XRAYGPT_HMAC_OLD_KEY_FILE the one before. ``--begin`` makes the new one count,
while no gateway and no ingest worker runs; from then on they know both. Without it every header is read again, and its
rows get their new pseudonyms; interrupted, it goes on where it was. ``--give-up`` ends it although some headers cannot
be read: no number finds their rows any more. It prints counts and opaque ids, nothing else.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from workers.headers import HeaderReader, ledger_for, run_command, sandbox_of
from workers.pseudonyms import pseudonyms_of, renamed_pairs
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.ledger.preflight import check_fingerprint
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.studies.rotate_pseudonyms import (
    begin,
    end,
    films,
    films_left,
    leave_film,
    reached,
    rename_film,
    rotation,
)
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore


@dataclass
class RotationReport:
    """How many headers were read again, and which images are still known under the old key alone."""

    read: int = 0
    left: dict[str, str] = field(default_factory=dict)
    over: bool = False

    @property
    def exit_code(self) -> int:
        return 0 if self.over else UNFINISHED

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        lines = [f"not read: image {image_id} ({why})" for image_id, why in self.left.items()]
        end_ = "the old key is needed no more" if self.over else "the old key is still needed; --give-up ends it"
        return [*lines, f"{self.read} headers read, {len(self.left)} not; {end_}"]


class Rotate(HeaderReader):
    """Reads headers again and gives their rows new pseudonyms."""

    def run(self, *, give_up: bool) -> RotationReport:
        """From where it stands to the end; then once more what could not be read."""
        report = RotationReport()
        under_way = rotation(self._ledger)
        if under_way is None:
            report.over = True
            return report
        while page := films(self._ledger, under_way.after):
            for given in page:
                self._one(given, report)
            reached(self._ledger, page[-1].image_id)
            under_way = rotation(self._ledger)
            if under_way is None:  # another process ended it
                break
        for given in films_left(self._ledger):
            if str(given.image_id) not in report.left:
                self._one(given, report)
        report.over = end(self._ledger, give_up=give_up)
        return report

    def _one(self, given: IngestInput, report: RotationReport) -> None:
        why = self._rename(given)
        if why is None:
            report.read += 1
        else:
            report.left[str(given.image_id)] = why
            leave_film(self._ledger, given.image_id)

    def _rename(self, given: IngestInput) -> str | None:
        """Give an image's rows their new pseudonyms, or say why that cannot be."""
        found = self._identify(given)
        if isinstance(found, str):
            return found
        study = pseudonyms_of(found, self._pseudonymiser).study
        rename_film(self._ledger, given.image_id, study, renamed_pairs(found, self._pseudonymiser))
        return None


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; 3 where images are left; 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.rotate", description=__doc__)
    parser.add_argument("--begin", action="store_true", help="make the new key count; nothing is read yet")
    parser.add_argument("--give-up", action="store_true", help="end it although some headers cannot be read")
    return run_command(parser, arguments, _rotate)


def _rotate(asked: argparse.Namespace, settings: Settings, closing: ExitStack) -> RotationReport | None:
    pseudonymiser = load_pseudonymiser(settings)
    if pseudonymiser.former is None:
        raise ConfigurationError("settings: XRAYGPT_HMAC_OLD_KEY_FILE is missing, or is the new key itself")
    ledger = ledger_for("rotation", settings, closing)
    if asked.begin:
        begin(ledger, pseudonymiser.former.fingerprint, pseudonymiser.fingerprint)
        return None
    check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
    work = Rotate(ledger, ObjectStore(settings), pseudonymiser, sandbox_of(settings, closing))
    return work.run(give_up=asked.give_up)


if __name__ == "__main__":
    sys.exit(main())
