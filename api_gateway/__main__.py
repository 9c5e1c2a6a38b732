"""``python -m api_gateway`` serves; ``create-key`` and ``revoke-key`` make and end a key; ``roles`` prints rights."""

import argparse
import ctypes
import resource
import signal
import sys

from api_gateway.key_commands import add_commands
from xraygpt_core.clinical_sealing import load_clinical_sealer
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.ledger.preflight import check_fingerprint, check_schema, check_sealing_key
from xraygpt_core.ledger.transaction import open_ledger
from xraygpt_core.logs import configure_logging
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.sealing import load_sealer
from xraygpt_core.settings import Settings, load_settings

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
# Connections to PostgreSQL: requests are answered by up to 40 threads, which hold one for milliseconds.
_POOL_SIZE = 16


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m api_gateway", description="The HTTP gateway of XrayGPT.")
    commands = parser.add_subparsers(dest="command")
    add_commands(commands)
    commands.add_parser("roles", help="print which role opens which route").set_defaults(act=_print_roles)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command is None:
            return _serve(load_settings())
        chosen.act(chosen)
    except XrayGPTError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a sentence for the person who started this
        return 1
    return 0


def _print_roles(_: argparse.Namespace) -> None:
    from api_gateway.app import ROUTES
    from api_gateway.roles import doors, table

    print(table(doors(routes.router for routes in ROUTES)), end="")  # noqa: T201  # what the command is for


def _serve(settings: Settings) -> int:
    from api_gateway.app import create_app  # saves a command about keys half of its time
    from api_gateway.server import GatewayServer
    from xraygpt_core.storage import ObjectStore

    configure_logging(settings.log_level, "gateway")
    _allow_files()
    _give_memory_back()
    ledger = open_ledger(settings, pool_size=_POOL_SIZE)
    try:
        check_schema(ledger)
        pseudonymiser, sealer = load_pseudonymiser(settings), load_sealer(settings)
        clinical = load_clinical_sealer(settings)
        check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
        if sealer is not None:
            check_sealing_key(ledger, *sealer.fingerprints)
        # uvicorn ends its requests, then sends itself the signal again; by then everything is done.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        app = create_app(ledger, ObjectStore(settings), pseudonymiser, sealer=sealer, clinical=clinical)
        server = GatewayServer(app, settings)
        server.run()
    finally:
        ledger.close()
    return 0 if server.started else 1


def _allow_files() -> None:
    """Raise the limit of open files to its maximum: each connection is one, and the usual limit is a thousand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _give_memory_back() -> None:
    """Let malloc return large pieces to the system: bodies and answers are large and short-lived.

    glibc raises its threshold for what it maps by itself (M_MMAP_THRESHOLD, mallopt(3)) with every large piece that is
    freed, unless it was set. Other C libraries have no such call.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, 64 << 10)
        mallopt(_M_TRIM_THRESHOLD, 1 << 20)


if __name__ == "__main__":
    sys.exit(main())
