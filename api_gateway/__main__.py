"""``python -m api_gateway`` serves; ``create-key`` and ``revoke-key`` (``--name NAME``) begin and end an API key."""

import argparse
import signal
import sys
from collections.abc import Callable

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.ledger.core import Ledger, open_ledger
from xraygpt_core.ledger.guard import check_fingerprint, check_schema
from xraygpt_core.ledger.keys import create_api_key, revoke_api_key
from xraygpt_core.logs import configure_logging
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.settings import Settings, load_settings
from xraygpt_core.states import KeyKind

# Seconds an open stream gets to end after SIGTERM.
_GRACE_SECONDS = 5
# Connections to PostgreSQL: requests are answered by up to 40 threads, which hold one for milliseconds.
_POOL_SIZE = 16


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m api_gateway", description="The HTTP gateway of XrayGPT.")
    commands = parser.add_subparsers(dest="command")
    create = commands.add_parser("create-key", help="make an API key and print it, this once")
    create.add_argument("--name", required=True, help="who will use it; a person's signatures carry this name")
    create.add_argument("--program", action="store_true", help="for a program, which may sign for people it names")
    create.add_argument("--both", action="store_true", help=argparse.SUPPRESS)  # the one-machine stack's own
    revoke = commands.add_parser("revoke-key", help="end every valid API key of this name, at once")
    revoke.add_argument("--name", required=True, help="who used it")
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        match chosen.command:
            case "create-key":
                kind = KeyKind.BOTH if chosen.both else KeyKind.PROGRAM if chosen.program else KeyKind.PERSON
                _change_keys(settings, lambda ledger: print(create_api_key(ledger, chosen.name, kind)))  # noqa: T201
            case "revoke-key":
                _change_keys(settings, lambda ledger: revoke_api_key(ledger, chosen.name))
            case _:
                return _serve(settings)
    except XrayGPTError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a sentence for the person who started this
        return 1
    return 0


def _change_keys(settings: Settings, change: Callable[[Ledger], None]) -> None:
    ledger = open_ledger(settings, pool_size=1)
    try:
        check_schema(ledger)
        change(ledger)
    finally:
        ledger.close()


def _serve(settings: Settings) -> int:
    import uvicorn  # half of the time that a command about keys would take

    from api_gateway.app import create_app
    from xraygpt_core.storage import ObjectStore

    configure_logging(settings.log_level, "gateway")
    ledger = open_ledger(settings, pool_size=_POOL_SIZE)
    try:
        check_schema(ledger)
        pseudonymiser = load_pseudonymiser(settings)
        check_fingerprint(ledger, *(one.fingerprint for one in pseudonymiser.all))
        config = uvicorn.Config(
            create_app(ledger, ObjectStore(settings), pseudonymiser),
            host=settings.gateway_host,
            port=settings.gateway_port,
            ssl_certfile=settings.gateway_certificate_file,
            ssl_keyfile=settings.gateway_key_file and str(settings.gateway_key_file),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        # uvicorn ends what it serves, then sends itself the signal again; by then everything is done.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server = uvicorn.Server(config)
        server.run()
    finally:
        ledger.close()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
