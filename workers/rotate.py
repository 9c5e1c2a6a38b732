"""``python -m workers.rotate [--begin] [--give-up] [--json]``: replace the pseudonymisation key.

XRAYGPT_HMAC_KEY_FILE is the new key, XRAYGPT_HMAC_OLD_KEY_FILE the one before. ``--begin`` makes the new one count,
while no gateway and no ingest worker runs; from then on they know both. Without it every header is read again, and its
rows are named anew; interrupted, it goes on where it was. ``--give-up`` ends it although some headers cannot be read:
their rows are found by no number any more. It prints counts and opaque ids, nothing else.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from workers.pseudonyms import called, renamed
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import ConfigurationError, ObjectMissing, ObjectReplaced, Rejected, XrayGPTError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_fingerprint, check_schema
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
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.logs import configure_logging
from xraygpt_core.privacy import Pseudonymiser, load_pseudonymiser
from xraygpt_core.settings import Settings, load_settings
from xraygpt_core.storage import ObjectStore


@dataclass
class RotationReport:
    """How many headers were read again, and which images are still known under the old key alone."""

    read: int = 0
    left: dict[str, str] = field(default_factory=dict)
    over: bool = False

    def lines(self) -> list[str]:
        """For people."""
        said = [f"not read: image {image_id} ({why})" for image_id, why in self.left.items()]
        end_ = "the old key is needed no more" if self.over else "the old key is still needed; --give-up ends it"
        return [*said, f"{self.read} headers read, {len(self.left)} not; {end_}"]


class Rotate:
    """Reads headers and names rows anew.

    Args:
        pseudonymiser: of the new key, with the former.
        sandbox: of :func:`xraygpt_core.dicom.sandbox.header_sandbox`.
    """

    def __init__(self, ledger: Ledger, store: ObjectStore, pseudonymiser: Pseudonymiser, sandbox: Sandbox) -> None:
        self._ledger, self._store = ledger, store
        self._pseudonymiser, self._sandbox = pseudonymiser, sandbox

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
            if under_way is None:  # somebody else ended it
                break
        for given in films_left(self._ledger):
            if str(given.image_id) not in report.left:
                self._one(given, report)
        report.over = end(self._ledger, give_up=give_up)
        return report

    def _one(self, given: IngestInput, report: RotationReport) -> None:
        why = self._trouble(given)
        if why is None:
            report.read += 1
        else:
            report.left[str(given.image_id)] = why
            leave_film(self._ledger, given.image_id)

    def _trouble(self, given: IngestInput) -> str | None:
        """Name an image's rows anew, or say why that cannot be."""
        try:
            data = self._store.read(
                given.bucket,
                given.key,
                etag=given.etag,
                version_id=given.version_id,
                max_bytes=self._ledger.settings.max_object_bytes,
            )
            said = self._sandbox.identify(data)
        except Rejected as rejection:
            return rejection.reason
        except (ObjectMissing, ObjectReplaced):
            return "no longer in the bucket"
        study = called(said, self._pseudonymiser).study
        rename_film(self._ledger, given.image_id, study, renamed(said, self._pseudonymiser))
        return None


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; 3 where images are left; 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.rotate", description=__doc__)
    parser.add_argument("--begin", action="store_true", help="make the new key count; nothing is read yet")
    parser.add_argument("--give-up", action="store_true", help="end it although some headers cannot be read")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings.log_level, "rotate")
        with ExitStack() as closing:
            if asked.begin:
                _begin(settings, closing)
                return 0
            report = _rotate(settings, closing).run(give_up=asked.give_up)
    except XrayGPTError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a sentence for the person who started this
        return 1
    print(json.dumps(asdict(report)) if asked.json else "\n".join(report.lines()))  # noqa: T201
    return 0 if report.over else 3


def _begin(settings: Settings, closing: ExitStack) -> None:
    ledger, pseudonymiser = _opened(settings, closing)
    assert pseudonymiser.former is not None
    begin(ledger, pseudonymiser.former.fingerprint, pseudonymiser.fingerprint)


def _rotate(settings: Settings, closing: ExitStack) -> Rotate:
    ledger, pseudonymiser = _opened(settings, closing)
    check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
    limits = Limits(settings.max_pixels, settings.decode_seconds, settings.decode_memory_bytes)
    sandbox = closing.enter_context(header_sandbox(limits))
    return Rotate(ledger, ObjectStore(settings), pseudonymiser, sandbox)


def _opened(settings: Settings, closing: ExitStack) -> tuple[Ledger, Pseudonymiser]:
    pseudonymiser = load_pseudonymiser(settings)
    if pseudonymiser.former is None:
        raise ConfigurationError("settings: XRAYGPT_HMAC_OLD_KEY_FILE is missing, or is the new key itself")
    ledger = open_ledger(settings, pool_size=1)
    closing.callback(ledger.close)
    check_schema(ledger)
    return ledger.acting(Actor("rotation")), pseudonymiser


if __name__ == "__main__":
    sys.exit(main())
