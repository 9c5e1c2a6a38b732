"""Database, broker and bucket: embedded, or external ones that the environment names."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.processes.restarts import Unit
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.database_logins import Logins
from xraygpt.stack.servers.ports import given
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt.stack.servers.s3_identities import OWNER
from xraygpt.stack.settings.certificates import Authority
from xraygpt_core.db import driver_url, without_options
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.s3_client import DEFAULT_REGION, new_client
from xraygpt_core.settings import check_redis_url


class BackingServices:
    """The three services. Each is left out where the environment names an external one:

    ``XRAYGPT_DATABASE_URL``, ``XRAYGPT_REDIS_URL``, ``XRAYGPT_S3_ENDPOINT_URL`` (with ``XRAYGPT_S3_ACCESS_KEY`` and
    ``XRAYGPT_S3_SECRET_KEY``).

    Args:
        tls: signs for those that are ours; None: they speak in clear.
    """

    def __init__(
        self,
        root: Path,
        environ: Mapping[str, str],
        webhook_url: str,
        webhook_token: str,
        tls: Authority | None = None,
    ) -> None:
        self._environ = environ
        self.bucket = environ.get("XRAYGPT_BUCKET", "xraygpt-source")
        self.derived_bucket = environ.get("XRAYGPT_DERIVED_BUCKET", "xraygpt-derived")
        self.units: dict[str, Unit] = {}
        _check(environ)
        self._postgres = self._broker = self._s3 = None
        if "XRAYGPT_DATABASE_URL" not in environ:
            self._postgres = self.units["postgres"] = Postgres(root / "postgres", given("postgres", environ), tls)
        if "XRAYGPT_REDIS_URL" not in environ:
            self._broker = self.units["broker"] = Broker(root / "broker", given("broker", environ), tls)
        if "XRAYGPT_S3_ENDPOINT_URL" not in environ:
            self._s3 = self.units["s3"] = ObjectServer(
                root / "s3",
                webhook_url=webhook_url,
                webhook_token=webhook_token,
                webhook_bucket=self.bucket,
                derived_bucket=self.derived_bucket,
                tls=tls,
                port=given("s3", environ),
            )

    @property
    def database_url(self) -> str:
        return self._postgres.url if self._postgres else self._environ["XRAYGPT_DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        return self._broker.url if self._broker else self._environ["XRAYGPT_REDIS_URL"]

    @property
    def s3_endpoint_url(self) -> str:
        return self._s3.url if self._s3 else self._environ["XRAYGPT_S3_ENDPOINT_URL"]

    @property
    def s3_keys(self) -> tuple[str | None, str | None]:
        """Access key and secret key; (None, None) leaves them to boto3's own search."""
        if self._s3:
            return self._s3.keys(OWNER)
        return self._environ.get("XRAYGPT_S3_ACCESS_KEY"), self._environ.get("XRAYGPT_S3_SECRET_KEY")

    def s3_keys_of(self, identity: str) -> tuple[str | None, str | None]:
        """The keys of one process (:mod:`.s3_identities`); of an external bucket, those it was given."""
        return self._s3.keys(identity) if self._s3 else self.s3_keys

    @property
    def s3_ca_file(self) -> str | None:
        """What clients of the bucket must trust beside the machine's own authorities."""
        ours = self._s3.ca_file if self._s3 else None
        return str(ours) if ours else self._environ.get("XRAYGPT_S3_CA_FILE")

    def start(self, say: Callable[[str], None]) -> None:
        for name, unit in self.units.items():
            say(f"starting {name}")
            unit.start()

    def create_buckets(self) -> None:
        """Create both buckets where they are missing.

        Raises:
            StackError: the S3 server refuses, or does not answer.
        """
        access_key, secret_key = self.s3_keys
        region = self._environ.get("XRAYGPT_S3_REGION", DEFAULT_REGION)
        client = new_client(
            self.s3_endpoint_url, access_key, secret_key, region=region, ca_file=self.s3_ca_file, attempts=5
        )
        with contextlib.closing(client):
            for bucket in (self.bucket, self.derived_bucket):
                try:
                    _create_bucket(client, bucket, region)
                except (BotoCoreError, ClientError) as error:
                    raise StackError(f"s3: bucket {bucket} at {self.s3_endpoint_url}: {error}") from error

    def logins(self, passwords: Mapping[str, str], former: Mapping[str, str]) -> Logins:
        """How our processes log in at the database, with these passwords by role."""
        return Logins(self.database_url, self._postgres, self._environ, passwords, former)


def _check(environ: Mapping[str, str]) -> None:
    """An address that no process could use stops the stack before it starts anything.

    Raises:
        StackError: naming the variable and what is wrong with it.
    """
    try:
        if "XRAYGPT_DATABASE_URL" in environ:
            without_options(driver_url(environ["XRAYGPT_DATABASE_URL"]))
        if "XRAYGPT_REDIS_URL" in environ:
            check_redis_url(environ["XRAYGPT_REDIS_URL"])
    except ConfigurationError as error:
        raise StackError(str(error)) from None
    except ValueError as error:
        raise StackError(f"XRAYGPT_REDIS_URL: {error}") from None


def _create_bucket(client: Any, bucket: str, region: str) -> None:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        where = {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client.create_bucket(Bucket=bucket, **where)
