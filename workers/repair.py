"""``python -m workers.repair [--apply] [--json]``: take apart the studies that hold two patients.

Older versions made one study of all images under a StudyInstanceUID. This reads again whom the images of such studies
name, and shows what would be separated; with ``--apply`` it does so. It prints opaque ids and nothing else.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from workers.decoder_cell import check_cell
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import ConfigurationError, ObjectMissing, ObjectReplaced, Rejected, XrayGPTError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_fingerprint, check_schema
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.studies.rotate_pseudonyms import rotation
from xraygpt_core.ledger.studies.split import Names, Split, split_study, suspects, unread_images
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.logs import configure_logging
from xraygpt_core.privacy import Pseudonymiser, load_pseudonymiser
from xraygpt_core.settings import Settings, load_settings
from xraygpt_core.storage import ObjectStore

_TELL_EVERY = 500  # studies


@dataclass
class RepairReport:
    """How many studies and images were looked at, and the studies of which there is something to say."""

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

    def document(self) -> dict[str, Any]:
        return {"applied": self.applied, "studies": self.studies, "images": self.images, "found": self.found}

    def lines(self) -> list[str]:
        """For people."""
        said = []
        for one in self.found:
            said.append(f"study {one['study_id']}: {len(one['stay'])} images stay")
            for group in one["leave"]:
                where = f"study {group['study_id']}" if group["study_id"] else "a study of their own"
                said.append(f"  to {where}: {' '.join(group['images'])}")
            said += [f"  not read, stays: {image_id} ({why})" for image_id, why in one["unread"].items()]
        parted = sum(bool(one["leave"]) for one in self.found)
        done = "taken apart" if self.applied else "to be taken apart; --apply does it"
        return [*said, f"{self.studies} studies looked at, {self.images} headers read; {parted} {done}"]


class Repair:
    """Reads headers and separates studies.

    Args:
        sandbox: of :func:`xraygpt_core.dicom.sandbox.header_sandbox`.
    """

    def __init__(self, ledger: Ledger, store: ObjectStore, pseudonymiser: Pseudonymiser, sandbox: Sandbox) -> None:
        self._ledger, self._store = ledger, store
        self._pseudonymiser, self._sandbox = pseudonymiser, sandbox

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
            try:
                read[given.image_id] = self._names(given)
            except Rejected as rejection:
                unread[given.image_id] = rejection.reason
            except (ObjectMissing, ObjectReplaced):
                unread[given.image_id] = "no longer in the bucket"
        report.add(split_study(self._ledger, study_id, read, apply=report.applied), unread, len(read))
        if report.studies % _TELL_EVERY == 0:
            print(f"{report.studies} studies looked at", file=sys.stderr)  # noqa: T201

    def _names(self, given: IngestInput) -> Names:
        data = self._store.read(
            given.bucket,
            given.key,
            etag=given.etag,
            version_id=given.version_id,
            max_bytes=self._ledger.settings.max_object_bytes,
        )
        said, names = self._sandbox.identify(data), self._pseudonymiser
        return Names(
            names.patient(said.patient_id, said.patient_id_issuer),
            names.patient_id(said.patient_id, said.patient_id_issuer),
            names.accession(said.accession_number, said.accession_issuer),
        )


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.repair", description=__doc__)
    parser.add_argument("--apply", action="store_true", help="do it; without this it is only shown")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings.log_level, "repair")
        with ExitStack() as closing:
            report = _repair(settings, closing).run(apply=asked.apply)
    except XrayGPTError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a sentence for the person who started this
        return 1
    print(json.dumps(report.document()) if asked.json else "\n".join(report.lines()))  # noqa: T201
    return 0


def _repair(settings: Settings, closing: ExitStack) -> Repair:
    check_cell(settings)
    ledger = open_ledger(settings, pool_size=1).acting(Actor("repair"))
    closing.callback(ledger.close)
    check_schema(ledger)
    pseudonymiser = load_pseudonymiser(settings)
    check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
    if rotation(ledger) is not None:
        raise ConfigurationError(
            "the pseudonymisation key is being replaced: let that end first (`xraygpt rotate pseudonyms`)"
        )
    limits = Limits(settings.max_pixels, settings.decode_seconds, settings.decode_memory_bytes)
    required = settings.decoder_cell == "required"
    sandbox = closing.enter_context(header_sandbox(limits, cell_required=required))
    return Repair(ledger, ObjectStore(settings), pseudonymiser, sandbox)


if __name__ == "__main__":
    sys.exit(main())
