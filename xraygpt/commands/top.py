"""``top``: what the system does now, again and again."""

import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from xraygpt import show
from xraygpt.client import Gateway, GatewayError
from xraygpt.commands.options import AsJson
from xraygpt.connect import gateway
from xraygpt.overview import screen, totals

_PATH = "/v1/status"
Interval = Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5, max=3600)]


def top(interval: Interval = 2.0, as_json: AsJson = False) -> None:
    """Watch queues, workers, rate and the oldest work; q or Ctrl-C leaves. Piped, it looks once."""
    with gateway() as client:
        if as_json:
            found = client.get(_PATH)
            show.document({**found, "totals": totals(found)})
        elif sys.stdout.isatty():
            with suppress(KeyboardInterrupt):
                _live(client, interval)
        else:
            print(screen(client.get(_PATH)))


def _live(client: Gateway, interval: float) -> None:
    """Look until somebody presses q. A gateway that does not answer is shown, and asked again."""
    with Live(console=Console(), screen=True, auto_refresh=False) as live, _single_keys():
        while True:
            try:
                status = client.get(_PATH)
                shown = f"{client.url}  ·  bundle {_bundle(status)}  ·  {datetime.now():%H:%M:%S}\n{screen(status)}"
            except GatewayError as error:
                if error.status is not None:
                    raise
                shown = str(error)
            live.update(Text(f"{shown}\n\nq leaves"), refresh=True)
            if _pressed(interval) in ("q", "Q"):
                return


def _bundle(status: dict[str, Any]) -> str:
    return str(status["served"]["name"] or "none")


@contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come one by one and unseen, where there is a keyboard."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(seconds: float) -> str | None:
    """The key that is pressed within this time."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return None
    return sys.stdin.read(1) if select.select([sys.stdin], [], [], seconds)[0] else None
