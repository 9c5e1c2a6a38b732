"""Ctrl-C at a wait: the command ends, the work goes on, and the person is shown how to watch it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from xraygpt import show
from xraygpt_core.exit_codes import INTERRUPTED

WATCH = "xraygpt watch"  # follows one study


@contextmanager
def goes_on(says: Callable[[], str], document: Callable[[], Any] | None = None) -> Iterator[None]:
    """Turn Ctrl-C inside the block into this sentence on stderr, this document for a program, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        show.say(says())
        if document is not None:
            show.document(document())
        raise typer.Exit(INTERRUPTED) from None
