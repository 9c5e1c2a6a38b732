"""``python -m workers.reseal [--json]``: seal the hospital's numbers anew, under another key.

XRAYGPT_SEALING_KEY_FILE is the new key, XRAYGPT_SEALING_OLD_KEY_FILE the one before. Gateway and ingest workers must
know both before this runs. Interrupted, it goes on where it was. It prints counts and opaque ids, nothing else.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from workers.headers import ledger_for, run_command
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.ledger.preflight import check_sealing_key
from xraygpt_core.ledger.studies.seal_anew import seal_anew
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.sealing import SealedNumbers, Sealer, load_sealer
from xraygpt_core.settings import Settings


@dataclass(frozen=True)
class ResealReport:
    """How many images' numbers were sealed anew, and the images whose numbers neither key opens."""

    sealed: int
    left: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return UNFINISHED if self.left else 0

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        lines = [f"not opened: the numbers of image {image_id}" for image_id in self.left]
        return [*lines, f"the numbers of {self.sealed} images sealed anew, {len(self.left)} not"]


def reseal(ledger: Ledger, sealer: Sealer) -> ResealReport:
    """Seal everything under the new key."""

    def again(image_id: UUID, sealed: SealedNumbers) -> SealedNumbers | None:
        numbers = sealer.open(image_id, sealed)
        return None if numbers is None else sealer.seal(image_id, numbers)

    done, left = seal_anew(ledger, sealer.fingerprint, again)
    return ResealReport(done, [str(image_id) for image_id in left])


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; 3 where numbers are left that do not open; 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.reseal", description=__doc__)
    return run_command(parser, arguments, _reseal)


def _reseal(_: argparse.Namespace, settings: Settings, closing: ExitStack) -> ResealReport:
    sealer = load_sealer(settings)
    if sealer is None or sealer.former is None:
        raise ConfigurationError(
            "settings: this needs XRAYGPT_SEALED_NUMBERS=true, and XRAYGPT_SEALING_OLD_KEY_FILE beside the new key"
        )
    ledger = ledger_for("rotation", settings, closing)
    check_sealing_key(ledger, *sealer.fingerprints)
    return reseal(ledger, sealer)


if __name__ == "__main__":
    sys.exit(main())
