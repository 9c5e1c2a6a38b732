"""``python -m workers.seal [--json]``: seal the hospital's numbers of films that came before numbers were kept.

Headers are read again, a page at a time, while work goes on, and only while XRAYGPT_SEALED_NUMBERS is on. Stopped, it
goes on where it was; done, it finds nothing. It prints counts and opaque ids, nothing else.
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from workers.headers import ledger_for, read_header, run_command, sandbox_of
from workers.pseudonyms import sealed_numbers
from workers.refill import RefillReport, refill
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Identifiers
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.preflight import check_sealing_key
from xraygpt_core.ledger.studies.fill_numbers import numbers_filled_in, store_numbers, unsealed_films
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.sealing import Sealer, load_sealer
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore


def fill_numbers(ledger: Ledger, store: ObjectStore, sandbox: Sandbox, sealer: Sealer) -> RefillReport:
    """Seal the numbers of every film that has none under seal and whose header names some.

    Raises:
        ConfigurationError: the sealing key is replaced meanwhile.
    """

    def read(film: IngestInput) -> Identifiers | str:
        return read_header(ledger, store, film, sandbox.identify)

    def keep(found: Mapping[IngestInput, Identifiers]) -> int:
        boxes = {one.image_id: sealed_numbers(one.image_id, named, sealer) for one, named in found.items()}
        return store_numbers(ledger, sealer.fingerprint, {image: box for image, box in boxes.items() if box})

    report = refill("sealed", partial(unsealed_films, ledger), read, keep)
    numbers_filled_in(ledger, report.filled, len(report.left))
    return report


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; 3 where films are left; 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.seal", description=__doc__)
    return run_command(parser, arguments, _seal)


def _seal(_: argparse.Namespace, settings: Settings, closing: ExitStack) -> RefillReport:
    sealer = load_sealer(settings)
    if sealer is None:
        raise ConfigurationError(
            "settings: XRAYGPT_SEALED_NUMBERS is not true, so this installation keeps no numbers: set it, and "
            "XRAYGPT_SEALING_KEY_FILE, for gateway and ingest workers as well"
        )
    ledger = ledger_for("seal", settings, closing)
    check_sealing_key(ledger, *sealer.fingerprints)
    return fill_numbers(ledger, ObjectStore(settings), sandbox_of(settings, closing), sealer)


if __name__ == "__main__":
    sys.exit(main())
