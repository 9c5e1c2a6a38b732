"""Models of the catalogue that a chat server runs: how it is started, and the bundle that asks it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.entries import Entry
from xraygpt_core.model.remote.address import is_this_machine
from xraygpt_core.scope import MadeFor, Scope, scope_table

if TYPE_CHECKING:
    from xraygpt_core.model.server.bundle import ServerBundle

URL = "http://127.0.0.1:8001/v1"
_ANSWER_TOKENS = 512


def start_command(entry: Entry, url: str = URL) -> str:
    """The command that serves the model at this address, on the machine that has the GPU (vLLM).

    Without a host vLLM listens on every network, and asks for no key.
    """
    (repository,) = entry.repositories
    command = ["vllm", "serve", repository.repo, "--revision", repository.revision]
    command += ["--max-model-len", str(entry.memory.longest)]
    command += ["--limit-mm-per-prompt", f'{{"image": {len(entry.images)}}}']
    place = urlsplit(URL if url.startswith("https://") else url)  # TLS is another server's, in front of it
    if is_this_machine(place.geturl()):
        command += ["--host", place.hostname or "127.0.0.1"]
    return shlex.join([*command, "--port", str(place.port or 80)])


def about_key(url: str, variable: str) -> str:
    """Who needs the key, and what checks it."""
    needed = f"the worker and `models verify` need its key in {variable}"
    if is_this_machine(url):
        return needed
    host = urlsplit(url).netloc
    return f"{needed}; at {host}, https and a check of that key go in front of the server, which listens there alone"


def with_path(url: str) -> str:
    """The address with the path that all these servers have, unless it names one."""
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1"


def server_tables(entry: Entry, url: str = URL, key_variable: str | None = None) -> dict[str, Any]:
    """The tables of its ``bundle.toml``; greedy, and for research."""
    (repository,) = entry.repositories
    key = {} if key_variable is None else {"api_key_env": key_variable}
    says = f"Research use only: {entry.title} has not been validated on films like yours."
    return {
        "server": {"url": url, "model": repository.repo, **key, **(entry.server or {})},
        "prompt": {"question": entry.question, "images": list(entry.images), "clinical": list(entry.clinical)},
        "decoding": {"max_new_tokens": _ANSWER_TOKENS, "do_sample": False},
        "scope": scope_table(Scope(MadeFor.RESEARCH, says)),
    }


def make_server_bundle(
    models: Path, name: str, entry: Entry, url: str = URL, key_variable: str | None = None
) -> "ServerBundle":
    """Make ``models/name``.

    Raises:
        BundleError: the address is none, or one that no worker would send films to, or ``name`` exists with other
            contents.
    """
    from xraygpt_core.model.server.bundle import ChatServer, write_server_bundle

    tables = server_tables(entry, with_path(url), key_variable)
    try:
        server = ChatServer(**tables["server"])
    except ValueError as error:
        raise BundleError(f"{url}: {error}") from None
    _check_guarded(server.url, key_variable)
    return write_server_bundle(models, name, tables)


def _check_guarded(url: str, key_variable: str | None) -> None:
    """Films leave this machine behind https and a key alone."""
    if is_this_machine(url):
        return
    if not url.startswith("https://"):
        raise BundleError(
            f"films would leave this machine unencrypted for {url}: name an https:// address and the variable of its "
            "key (--api-key-env XRAYGPT_SERVER_KEY), or lead a tunnel to it (ssh -N -L 8001:127.0.0.1:8001 HOST)"
        )
    if key_variable is None:
        raise BundleError(
            f"films leave this machine for {url}, so the server must ask for a key: name the variable that holds it "
            "with --api-key-env XRAYGPT_SERVER_KEY"
        )
