"""What the commands share that read headers again: ``workers.repair``, ``rotate``, ``facts`` and ``seal``."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from workers.decoder_cell import check_cell
from xraygpt_core.dicom.sandbox import Sandbox, facts_sandbox, header_sandbox
from xraygpt_core.dicom.types import Identifiers, Limits
from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Rejected, XrayGPTError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_schema
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.logs import configure_logging
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.settings import Settings, load_settings
from xraygpt_core.storage import ObjectStore

T = TypeVar("T")


class Report(Protocol):
    """What a command prints: opaque ids and counts, nothing else."""

    @property
    def exit_code(self) -> int: ...

    def document(self) -> dict[str, Any]: ...

    def lines(self) -> list[str]: ...


def run_command(
    parser: argparse.ArgumentParser,
    arguments: list[str] | None,
    work: Callable[[argparse.Namespace, Settings, ExitStack], Report | None],
) -> int:
    """Parse, work, print. Returns the report's exit code; 0 without one; 1 with one sentence on stderr."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings.log_level, parser.prog.rpartition(".")[2])
        with ExitStack() as closing:
            report = work(asked, settings, closing)
    except XrayGPTError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a sentence for the person who started this
        return 1
    if report is None:
        return 0
    print(json.dumps(report.document()) if asked.json else "\n".join(report.lines()))  # noqa: T201
    return report.exit_code


def ledger_for(command: str, settings: Settings, closing: ExitStack) -> Ledger:
    """The ledger, with the command as its actor."""
    ledger = open_ledger(settings, pool_size=1).acting(Actor(command))
    closing.callback(ledger.close)
    check_schema(ledger)
    return ledger


def sandbox_of(settings: Settings, closing: ExitStack) -> Sandbox:
    """A sandbox that reads headers.

    Raises:
        ConfigurationError: the decoder's cell does not hold here, and the settings require it.
    """
    return _opened(header_sandbox, settings, closing)


def facts_sandbox_of(settings: Settings, closing: ExitStack) -> Sandbox:
    """A sandbox that reads what headers say of their films.

    Raises:
        ConfigurationError: as :func:`sandbox_of`.
    """
    return _opened(facts_sandbox, settings, closing)


def _opened(made: Callable[..., Sandbox], settings: Settings, closing: ExitStack) -> Sandbox:
    check_cell(settings)
    limits = Limits(settings.max_pixels, settings.decode_seconds, settings.decode_memory_bytes)
    return closing.enter_context(made(limits, cell_required=settings.decoder_cell == "required"))


def read_header(ledger: Ledger, store: ObjectStore, given: IngestInput, ask: Callable[[bytes], T]) -> T | str:
    """What a sandbox finds in an image's object, or why that cannot be had.

    Args:
        ask: reads the object's bytes, and raises Rejected.
    """
    most = ledger.settings.max_object_bytes
    try:
        return ask(store.read(given.bucket, given.key, etag=given.etag, version_id=given.version_id, max_bytes=most))
    except Rejected as rejection:
        return rejection.reason
    except (ObjectMissing, ObjectReplaced):
        return "no longer in the bucket"


class HeaderReader:
    """Reads the headers of images again."""

    def __init__(self, ledger: Ledger, store: ObjectStore, pseudonymiser: Pseudonymiser, sandbox: Sandbox) -> None:
        self._ledger, self._store = ledger, store
        self._pseudonymiser, self._sandbox = pseudonymiser, sandbox

    def _identify(self, given: IngestInput) -> Identifiers | str:
        """The identifiers in an image's object, or why they cannot be read."""
        return read_header(self._ledger, self._store, given, self._sandbox.identify)
