"""What a hub says about files: through ``huggingface_hub``, each of its errors as one sentence of ours.

``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` (or a login of its own command) says who asks, ``HF_HUB_OFFLINE``
forbids asking.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers

from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.entries import Repository, is_commit

T = TypeVar("T")
_LONGEST_WAIT = 600.0  # seconds that a hub may make us wait for one answer; beyond, a person decides
_TRIES = 5
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TOO_MANY = 429  # RFC 6585, section 4


@dataclass(frozen=True)
class HubFile:
    """One file as a hub describes it.

    Attributes:
        digest: SHA-256 (64 hex digits), or git's hash of a small file (40).
        token: what opens it; never sent elsewhere.
    """

    name: str
    url: str
    size: int
    digest: str
    commit: str
    token: str | None = None


class Hub:
    """One hub, asked as one person.

    Args:
        wait: sleeps for so many seconds; the hub's limits are waited for with it.
        say: takes a sentence about that.
    """

    def __init__(self, wait: Callable[[float], None], say: Callable[[str], None]) -> None:
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self.token = get_token()
        self.host = urlsplit(self.endpoint).netloc
        self._wait, self._say = wait, say

    def files(self, wanted: Repository) -> list[HubFile]:
        """The files of a repository that are wanted, with what the hub says of each, all at one commit.

        Raises:
            BundleError: one sentence: gated, moved away, gone, no network, too many requests …
        """
        names = [name for name in wanted.files if name not in wanted.urls]
        patterns = any("*" in name or "|" in name for name in names)
        if names and (patterns or wanted.optional or not wanted.is_pinned):
            commit, listed = self._listing(wanted)
            wanted = replace(wanted, revision=commit)
            names = _matching(wanted, names, listed) if patterns else names
            names += [name for name in wanted.optional if name in listed and name not in names]
        found = [self._file(wanted, name) for name in names]
        for file in found:
            known = wanted.sha256.get(file.name)
            if known is not None and known != file.digest:
                raise BundleError(
                    f"{wanted.repo} has another {file.name} than the catalogue knows: its hash is {file.digest}, not "
                    f"{known}; nothing was downloaded"
                )
        return found + [
            HubFile(name, url, wanted.files[name], wanted.sha256[name], wanted.revision)
            for name, url in wanted.urls.items()
        ]

    def patiently(self, act: Callable[[], T], repo: str, revision: str) -> T:
        """The answer of an act that asks the hub, which is asked again after the time that it states.

        Raises:
            BundleError: it refuses, does not answer, or wants too long a wait.
        """
        waited = 0.0
        for left in reversed(range(_TRIES)):
            with self._asking(repo, revision):
                try:
                    return act()
                except HfHubHTTPError as error:
                    pause = pause_of(error.response)
                    waited += pause or 0.0
                    if pause is None or not left or waited > _LONGEST_WAIT:
                        raise
            self._say(f"{self.host} takes no more requests for now: waiting {pause:.0f} s, as it asks")
            self._wait(pause)
        raise AssertionError("the last try returns or raises")

    def _listing(self, wanted: Repository) -> tuple[str, list[str]]:
        """The commit that a revision is now, and the names of its files."""
        api = HfApi(endpoint=self.endpoint, token=self.token)
        repo, revision = wanted.repo, wanted.revision
        info = self.patiently(lambda: api.model_info(repo, revision=revision, timeout=30), repo, revision)
        if not is_commit(info.sha or ""):
            raise BundleError(f"{self.host} does not say which commit {revision} of {repo} is")
        return str(info.sha), [one.rfilename for one in info.siblings or []]

    def _file(self, wanted: Repository, name: str) -> HubFile:
        repo, revision = wanted.repo, wanted.revision
        url = hf_hub_url(repo, name, revision=revision, endpoint=self.endpoint)
        seen = self.patiently(
            lambda: get_hf_file_metadata(url, token=self.token or False, endpoint=self.endpoint), repo, revision
        )
        digest = (seen.etag or "").lower()
        if seen.commit_hash is None or seen.size is None or not _HASH.fullmatch(digest):
            raise BundleError(
                f"{self.host} states no size, commit or hash of {repo}/{name}: is HF_ENDPOINT the address of a hub?"
            )
        self._note_move(repo, seen.location)
        return HubFile(name, url, seen.size, digest, seen.commit_hash, self.token)

    def _note_move(self, repo: str, location: str) -> None:
        """Say it where the hub answered under another name: it redirects for as long as it remembers the old one."""
        parts = urlsplit(location)
        now, resolves, _ = parts.path.strip("/").partition("/resolve/")
        if parts.netloc == self.host and resolves and now != repo:
            self._say(f"{repo} is called {now} now; the hub leads there")

    @contextmanager
    def _asking(self, repo: str, revision: str) -> Iterator[None]:
        """Turn the library's errors into ours."""
        page = f"{self.endpoint}/{repo}"
        try:
            yield
        except OfflineModeIsEnabled:
            raise BundleError(OFFLINE) from None
        except GatedRepoError:
            raise BundleError(self._gated(repo, page)) from None
        except RevisionNotFoundError:
            raise BundleError(
                f"{repo} has no revision {revision} any more: name another one with --revision, or in a catalogue of "
                "yours (--catalogue)"
            ) from None
        except EntryNotFoundError as error:
            raise BundleError(f"{repo} has no such file at revision {revision}: {_last_part(error)}") from None
        except RepositoryNotFoundError:
            raise BundleError(
                f"{self.host} has no repository {repo}, or hides it from you: look at {page}, and set HF_TOKEN if it "
                "is private"
            ) from None
        except FileMetadataError as error:
            raise BundleError(f"{self.host} does not answer as a hub: {error}") from None
        except HfHubHTTPError as error:
            raise BundleError(self._refused(repo, error.response)) from None
        except httpx2.HTTPError as error:
            raise BundleError(no_answer(self.host, error)) from None

    def _gated(self, repo: str, page: str) -> str:
        if self.token is None:
            return (
                f"{repo} is gated: accept its licence at {page}, make a token at {self.endpoint}/settings/tokens, and "
                "set HF_TOKEN to it"
            )
        return f"the account of this HF_TOKEN may not read {repo}: accept its licence at {page} with that account"

    def _refused(self, repo: str, response: httpx2.Response) -> str:
        if response.status_code in (401, 403) and self.token is not None:
            return (
                f"{self.host} does not take this HF_TOKEN for {repo}: make a new one with read access at "
                f"{self.endpoint}/settings/tokens"
            )
        if response.status_code == _TOO_MANY:
            return (
                f"{self.host} takes no more requests for now: try again later, or set HF_TOKEN, which is allowed more"
            )
        return f"{self.host} answers {response.status_code} for {repo}: try again later"


def _matching(wanted: Repository, patterns: list[str], listed: list[str]) -> list[str]:
    """Names for the patterns; of alternatives the first that anything matches."""
    names: dict[str, None] = {}
    for pattern in patterns:
        hits = (
            [name for name in listed if "/" not in name and fnmatch(name, one.strip())] for one in pattern.split("|")
        )
        found = next((some for some in hits if some), [])
        if not found:
            raise BundleError(f"{wanted.repo} has no file {pattern} at revision {wanted.revision}")
        names |= dict.fromkeys(found)
    return list(names)


OFFLINE = (
    "HF_HUB_OFFLINE is set, so nothing is downloaded: unset it, or bring the files yourself and name their folder with "
    "`xraygpt models import NAME --from FOLDER`"
)


def no_answer(host: str, error: Exception) -> str:
    """The sentence where a host cannot be reached or breaks off."""
    return (
        f"{host} does not answer ({type(error).__name__}): check the network, HTTPS_PROXY and HF_ENDPOINT; what was "
        "downloaded is kept, and the same command goes on from there"
    )


def pause_of(response: httpx2.Response) -> float | None:
    """Seconds that an answer 429 or 503 asks to wait (RFC 9110, section 10.2.3, or the hub's RateLimit); None: none."""
    if response.status_code not in (_TOO_MANY, 503):
        return None
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    stated = response.headers.get("Retry-After", "")
    return float(stated) if stated.isdigit() else None


def _last_part(error: EntryNotFoundError) -> str:
    """The file in the address that was not found."""
    response: httpx2.Response | None = getattr(error, "response", None)
    return "" if response is None else response.url.path.partition("/resolve/")[2].partition("/")[2]
