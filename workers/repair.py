"""``python -m workers.repair [--apply] [--json]``: take apart the studies that hold two patients.

Older versions made one study of all images under a StudyInstanceUID. This reads the headers of such images again, and
shows what would be separated; with ``--apply`` it separates it. It prints opaque ids and nothing else.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from workers.headers import HeaderReader, ledger_for, run_command, sandbox_of
from workers.pseudonyms import pseudonyms_of
from xraygpt_core.dicom.types import Identifiers
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.preflight import check_fingerprint
from xraygpt_core.ledger.studies.rotate_pseudonyms import rotation
from xraygpt_core.ledger.studies.split import Names, Split, split_study, suspects, unread_images
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore

_PROGRESS_EVERY = 500  # studies


@dataclass
class RepairReport:
    """How many studies and images were looked at, and the studies with a second patient or an unread image."""

    applied: bool
    studies: int = 0
    images: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, split: Split, unread: dict[UUID, str], read: int) -> None:
        self.studies, self.images = self.studies + 1, self.images + read
        if split.leave or unread:
            self.found.append(
                {
                    "study_id": str(split.study_id),
                    "stay": [str(one) for one in split.stay],
                    "leave": [
                        {"study_id": group.study_id and str(group.study_id), "images": [*map(str, group.image_ids)]}
                        for group in split.leave
                    ],
                    "unread": {str(image_id): why for image_id, why in unread.items()},
                }
            )

    @property
    def exit_code(self) -> int:
        return 0

    def document(self) -> dict[str, Any]:
        return {"applied": self.applied, "studies": self.studies, "images": self.images, "found": self.found}

    def lines(self) -> list[str]:
        lines = []
        for one in self.found:
            lines.append(f"study {one['study_id']}: {len(one['stay'])} images stay")
            for group in one["leave"]:
                where = f"study {group['study_id']}" if group["study_id"] else "a study of their own"
                lines.append(f"  to {where}: {' '.join(group['images'])}")
            lines += [f"  not read, stays: {image_id} ({why})" for image_id, why in one["unread"].items()]
        parted = sum(bool(one["leave"]) for one in self.found)
        done = "taken apart" if self.applied else "to be taken apart; --apply does it"
        return [*lines, f"{self.studies} studies looked at, {self.images} headers read; {parted} {done}"]


class Repair(HeaderReader):
    """Reads headers and separates studies."""

    def run(self, *, apply: bool) -> RepairReport:
        """Go through all studies that may hold two patients. Interrupted, it goes on where it was."""
        report = RepairReport(apply)
        after = UUID(int=0)
        while page := suspects(self._ledger, after=after):
            for study_id in page:
                self._one(study_id, report)
            after = page[-1]
        return report

    def _one(self, study_id: UUID, report: RepairReport) -> None:
        read: dict[UUID, Names] = {}
        unread: dict[UUID, str] = {}
        for given in unread_images(self._ledger, study_id):
            found = self._identify(given)
            if isinstance(found, str):
                unread[given.image_id] = found
            else:
                read[given.image_id] = self._names(found)
        report.add(split_study(self._ledger, study_id, read, apply=report.applied), unread, len(read))
        if report.studies % _PROGRESS_EVERY == 0:
            print(f"{report.studies} studies looked at", file=sys.stderr)  # noqa: T201

    def _names(self, identifiers: Identifiers) -> Names:
        names = pseudonyms_of(identifiers, self._pseudonymiser)
        return Names(names.patient, names.patient_id, names.accession)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.repair", description=__doc__)
    parser.add_argument("--apply", action="store_true", help="do it; without this it is only shown")
    return run_command(parser, arguments, lambda asked, *opened: _repair(*opened).run(apply=asked.apply))


def _repair(settings: Settings, closing: ExitStack) -> Repair:
    ledger = ledger_for("repair", settings, closing)
    pseudonymiser = load_pseudonymiser(settings)
    check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
    if rotation(ledger) is not None:
        raise ConfigurationError(
            "the pseudonymisation key is being replaced: let that end first (`xraygpt rotate pseudonyms`)"
        )
    return Repair(ledger, ObjectStore(settings), pseudonymiser, sandbox_of(settings, closing))


if __name__ == "__main__":
    sys.exit(main())
