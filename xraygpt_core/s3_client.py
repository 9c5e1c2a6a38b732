"""The client every request to a bucket goes through, and its library's errors in our own words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Unavailable
from xraygpt_core.settings import Settings

DEFAULT_REGION = str(Settings.model_fields["s3_region"].default)

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})
_REPLACED = frozenset({"412", "PreconditionFailed"})

_BAD_REQUESTS = frozenset({"400", "BadRequest", "InvalidRequest", "InvalidArgument", "InvalidURI"})
_STEPS = frozenset({".", ".."})
_BETWEEN_STEPS = re.compile(r"[/\\]")  # some servers take a backslash for a slash

_BAD_REQUEST, _TOO_MANY_REQUESTS = 400, 429

T = TypeVar("T")


def s3_client(settings: Settings, *, seconds: float = 30.0, attempts: int = 2) -> Any:
    """The client a process of ours uses, by its settings. Arguments as of :func:`new_client`."""
    access_key, secret_key = settings.s3_access_key, settings.s3_secret_key
    return new_client(
        settings.s3_endpoint_url,
        access_key.get_secret_value() if access_key else None,
        secret_key.get_secret_value() if secret_key else None,
        region=settings.s3_region,
        ca_file=settings.s3_ca_file,
        seconds=seconds,
        attempts=attempts,
    )


def new_client(
    url: str | None,
    access_key: str | None,
    secret_key: str | None,
    *,
    region: str | None = None,
    ca_file: Path | str | None = None,
    seconds: float = 30.0,
    attempts: int = 2,
) -> Any:
    """boto3's client of an S3 server, for many threads.

    Args:
        url: of the server; None: AWS.
        access_key, secret_key: None: those that boto3 finds by itself.
        ca_file: PEM file of the authority that signed the server's certificate; None: the machine's own authorities.
        seconds: how long it waits for a byte.
        attempts: how often it asks. The ledger owns retries; the second one bridges a dropped connection.
    """
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if url else "auto"},
        connect_timeout=5,
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=64,
        # Other servers than AWS do not all know the newer checksum headers; TLS and our own sha256 guard the bytes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        region_name=region or DEFAULT_REGION,
        endpoint_url=url,
        verify=str(ca_file) if ca_file else None,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )


def translated(call: Callable[[], T], key: str = "") -> T:
    """Turn the library's errors into ours, and drop their text: it quotes URLs, and those hold keys.

    Args:
        key: of the object asked for. Amazon S3 and others answer 400 to a key with steps like ``..`` that they cannot
            hold: nothing is there, and asking again later changes nothing.
    """
    try:
        return call()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in _BAD_REQUESTS and not _STEPS.isdisjoint(_BETWEEN_STEPS.split(key)):
            raise ObjectMissing("the bucket cannot hold an object of this key") from None
        raise _named(code) from None
    except (BotoCoreError, Boto3Error, ConnectionError, TimeoutError) as error:
        raise Unavailable(f"the bucket does not answer ({type(error).__name__})") from None


def answered(call: Callable[[], object]) -> None:
    """Make a request whose answer may be a no: only silence, a failing server (5xx) and one too busy (429) count.

    Raises:
        Unavailable.
    """

    def ask() -> None:
        try:
            call()
        except ClientError as error:
            if not _BAD_REQUEST <= error.response["ResponseMetadata"]["HTTPStatusCode"] < _TOO_MANY_REQUESTS:
                raise

    translated(ask)


def _named(code: str) -> Exception:
    if code in _REPLACED:
        return ObjectReplaced("the object was overwritten since it was registered")
    if code in _MISSING:
        return ObjectMissing("the object is not in the bucket")
    return Unavailable(f"the bucket refuses ({code})")
