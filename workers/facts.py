"""``python -m workers.facts [--json]``: read what stored films' headers say of them, where no one asked before.

Day, side and pixel spacing of films that were accepted by older versions are filled in, a page at a time, while work
goes on. Stopped, it goes on where it was; done, it finds nothing. It prints counts and opaque ids, nothing else.
"""

import argparse
import sys
from contextlib import ExitStack
from functools import partial

from workers.headers import facts_sandbox_of, ledger_for, read_header, run_command
from workers.refill import RefillReport, refill
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import StatedFacts
from xraygpt_core.ledger.studies.fill_facts import UnaskedFilm, store_facts, unasked_films
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore


def fill_facts(ledger: Ledger, store: ObjectStore, sandbox: Sandbox) -> RefillReport:
    """Keep what the header says of every film that was not asked yet."""

    def read(film: UnaskedFilm) -> StatedFacts | str:
        return read_header(ledger, store, film.given, sandbox.facts)

    return refill("filled in", partial(unasked_films, ledger), read, partial(store_facts, ledger))


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; 3 where films are left; 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m workers.facts", description=__doc__)
    return run_command(parser, arguments, _fill)


def _fill(_: argparse.Namespace, settings: Settings, closing: ExitStack) -> RefillReport:
    ledger = ledger_for("facts", settings, closing)
    return fill_facts(ledger, ObjectStore(settings), facts_sandbox_of(settings, closing))


if __name__ == "__main__":
    sys.exit(main())
