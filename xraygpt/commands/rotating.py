"""``rotate``: new secrets in place of old ones, on the one-machine stack."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xraygpt import show
from xraygpt.commands.options import AsJson
from xraygpt.connect import home, is_set, process_environment
from xraygpt.stack.launch import start, stop
from xraygpt.stack.processes.child import StackError, die_with_parent
from xraygpt.stack.settings.home import Home, replace_hmac_key, replace_sealing_key, retire_clinical_key, running_stack
from xraygpt.stack.settings.rotation import ROTATED
from xraygpt.stack.settings.switches import is_on
from xraygpt_core.exit_codes import UNFINISHED


class What(StrEnum):
    """The secrets that can be replaced; all but the first four are names of ``ROTATED``."""

    ALL = "all"
    PSEUDONYMS = "pseudonyms"
    NUMBERS = "numbers"
    WORDS = "words"
    DATABASE = "database"
    BROKER = "broker"
    BUCKET = "bucket"
    WEBHOOK = "webhook"
    FLOWER = "flower"
    METRICS = "metrics"
    KEY = "key"
    CERTIFICATES = "certificates"


def rotate(
    what: Annotated[What, typer.Argument(help="Which secrets; all: every one but pseudonyms, numbers and words.")],
    give_up: Annotated[
        bool, typer.Option("--give-up", help="pseudonyms: end the old key although some films cannot be read again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replace passwords, tokens and keys. The stack drains and starts again; no work is lost."""
    data = home()
    was_up = running_stack(data) is not None
    over = True
    if what is What.PSEUDONYMS:
        over = _pseudonyms(data, give_up=give_up)
    elif what is What.NUMBERS:
        over = _numbers(data)
    elif what is What.WORDS:
        _words(data)
    else:
        _secrets(data, [*ROTATED] if what is What.ALL else [str(what)])
    if not was_up:
        stop(data)
    sentence = f"rotated: {what}" if over else "the old key is still in use; see above"
    show.answer({"rotated": str(what), "over": over}, sentence, as_json=as_json)
    if not over:
        raise typer.Exit(UNFINISHED)


def _secrets(data: Home, names: list[str]) -> None:
    if "key" in names:
        stack = running_stack(data) or start(data, show.say)
        _run(["-m", "api_gateway", "revoke-key", "--name", "local"], process_environment(stack))
    stop(data)
    for name in names:
        ROTATED[name](data)
    start(data, show.say)


def _pseudonyms(data: Home, *, give_up: bool) -> bool:
    """True if the old key is no longer in use."""
    if is_set("hmac_key") or is_set("hmac_key_file"):
        raise StackError("the pseudonymisation key is a setting of yours: docs/operations.md says how to replace it")
    if not data.hmac_key_file.exists():
        raise StackError(f"there is no key in {data.root} yet")
    if not data.old_hmac_key_file.exists():
        show.say(f"new pseudonymisation key {data.hmac_key_file}: back it up now")
        stop(data)
        replace_hmac_key(data)
    stack = running_stack(data) or start(data, show.say)
    given = process_environment(stack) | {"XRAYGPT_HMAC_OLD_KEY_FILE": str(data.old_hmac_key_file)}
    if _run(["-m", "workers.rotate", *["--give-up"] * give_up], given, allowed=(0, UNFINISHED)) != 0:
        return False
    _end_old_key(data, data.old_hmac_key_file, "hmac")
    return True


def _numbers(data: Home) -> bool:
    """Seal the hospital's numbers under a new key; True if the old one is no longer in use."""
    if is_set("sealing_key") or is_set("sealing_key_file"):
        raise StackError("the sealing key is a setting of yours: docs/operations.md says how to replace it")
    if not is_on(os.environ, "XRAYGPT_SEALED_NUMBERS") or not data.sealing_key_file.exists():
        raise StackError("no numbers are sealed here: that needs XRAYGPT_SEALED_NUMBERS=true, as at `xraygpt up`")
    if not data.old_sealing_key_file.exists():
        show.say(f"new sealing key {data.sealing_key_file}: back it up now")
        stop(data)
        replace_sealing_key(data)
    stack = running_stack(data) or start(data, show.say)
    given = process_environment(stack) | {
        "XRAYGPT_SEALING_KEY_FILE": str(data.sealing_key_file),
        "XRAYGPT_SEALING_OLD_KEY_FILE": str(data.old_sealing_key_file),
    }
    if _run(["-m", "workers.reseal"], given, allowed=(0, UNFINISHED)) != 0:
        return False
    _end_old_key(data, data.old_sealing_key_file, "sealing")
    return True


def _words(data: Home) -> None:
    """Seal the hospital's words for a new key from now on; those before stay, to open what is theirs."""
    if is_set("clinical_key") or is_set("clinical_key_file"):
        raise StackError("the key of the words is a setting of yours: docs/operations.md says how to replace it")
    if not is_on(os.environ, "XRAYGPT_CLINICAL_TEXT") or not data.clinical_key_file.exists():
        raise StackError("no words are sealed here: that needs XRAYGPT_CLINICAL_TEXT=true, as at `xraygpt up`")
    stop(data)
    retire_clinical_key(data)
    start(data, show.say)
    show.say(f"new key {data.clinical_key_file}: back it up now, and {data.old_clinical_key_file} beside it")


def _end_old_key(data: Home, old: Path, name: str) -> None:
    """Start again without the old key, which stays in a file of another name."""
    stop(data)
    kept = data.root / f"{name}.until-{datetime.now(UTC):%Y%m%dT%H%M%S}.key"
    old.rename(kept)
    start(data, show.say)
    show.say(f"the old key is {kept}: keep it as long as there are earlier back-ups, then delete it")


def _run(arguments: list[str], environment: dict[str, str], allowed: tuple[int, ...] = (0,)) -> int:
    """Run a Python command; its output goes to stderr. Returns its exit status.

    Raises:
        StackError: the status is not one of ``allowed``.
    """
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=sys.stderr, check=False, preexec_fn=die_with_parent()
    )
    if done.returncode not in allowed:
        raise StackError(f"{arguments[1]} ended with exit code {done.returncode}")
    return done.returncode
