"""The settings of one stack: its ports, secrets and addresses, and which of them each process is given."""

import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from xraygpt.stack.servers.ports import choose, occupy
from xraygpt.stack.servers.services import BackingServices
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.environments import environment_of
from xraygpt.stack.settings.home import Home, finish_replacing, make_hmac_key
from xraygpt.stack.settings.remembered import recall, remember, secret
from xraygpt_core.logins import PROCESSES, READER, ROLES
from xraygpt_core.paths import models_dir
from xraygpt_core.shutdown import stack_patience


class StackSettings:
    """The settings of one start.

    Args:
        environ: the user's environment.
        say: takes one line of progress.

    Attributes:
        secrets: by name, as they are remembered.
        tls: the authority that signs the certificates of our servers; None: they do without TLS.
    """

    def __init__(self, home: Home, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.home = home
        self.environ = dict(environ)
        self.say = say
        self.secrets: dict[str, Any] = {}
        self.tls: Authority | None = None
        self._urls: dict[str, str] = {}  # of the database, by process
        self._s3_keys: dict[str, tuple[str | None, str | None]] = {}

    def choose(self) -> dict[str, socket.socket]:
        """Ports and secrets, as they were last time where that is possible; our servers' ports, held."""
        if "XRAYGPT_HMAC_KEY" not in self.environ and "XRAYGPT_HMAC_KEY_FILE" not in self.environ:
            finish_replacing(self.home)
            if make_hmac_key(self.home.hmac_key_file):
                self.say(
                    f"new pseudonymisation key {self.home.hmac_key_file}: back it up now. "
                    "Without it no patient, study or accession number leads to its summary again."
                )
            self.environ["XRAYGPT_HMAC_KEY_FILE"] = str(self.home.hmac_key_file)
            if self.home.old_hmac_key_file.exists():
                self.environ["XRAYGPT_HMAC_OLD_KEY_FILE"] = str(self.home.old_hmac_key_file)
        secrets, held = recall(self.home.secrets_file), {}
        for name in ("webhook_token", "reader_password", "flower_password", "metrics_token"):
            secrets.setdefault(name, secret())
        secrets["role_passwords"] = {role: secret() for role in ROLES} | secrets.get("role_passwords", {})
        for program in ("gateway", "flower"):
            name = f"{program}_port"
            given = self.environ.get(f"XRAYGPT_{name.upper()}")
            secrets[name] = int(given) if given else choose(secrets.get(name))
            held[program] = occupy(secrets[name])  # it starts last; another program may look for a port now
        self.secrets = secrets
        remember(self.home.secrets_file, secrets)
        if self.environ.get("XRAYGPT_STACK_TLS", "").lower() in ("1", "true", "yes", "on"):
            self.tls = Authority(self.home.certificates)
        return held

    @property
    def webhook_url(self) -> str:
        return f"{self.gateway_url}/v1/events/s3"

    @property
    def gateway_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.secrets['gateway_port']}"

    def trust(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=self.tls.file) if self.tls else False

    @property
    def passwords(self) -> dict[str, str]:
        """Of the roles in the database."""
        return {READER: self.secrets["reader_password"], **self.secrets["role_passwords"]}

    def log_in(self, services: BackingServices) -> str:
        """Give each process a role in the database and keys of the bucket; the address of the analysts' role.

        Raises:
            StackError: the database refuses.
        """
        logins = services.logins(self.passwords, self.secrets.get("former_passwords", {}))
        reader = logins.reader_url()
        self._urls = logins.urls(self.say)
        self._s3_keys = {process: services.s3_keys_of(process) for process in PROCESSES}
        return reader

    def environment(self, services: BackingServices) -> dict[str, str]:
        """All that our processes read; each is given its part (:mod:`xraygpt.stack.settings.environments`)."""
        access_key, secret_key = services.s3_keys
        ours = {
            "XRAYGPT_HOME": str(self.home.root),
            "XRAYGPT_MODELS": str(models_dir()),
            "XRAYGPT_DATABASE_URL": services.database_url,
            "XRAYGPT_REDIS_URL": services.redis_url,
            "XRAYGPT_S3_ENDPOINT_URL": services.s3_endpoint_url,
            "XRAYGPT_S3_ACCESS_KEY": access_key,
            "XRAYGPT_S3_SECRET_KEY": secret_key,
            "XRAYGPT_S3_CA_FILE": services.s3_ca_file,
            "XRAYGPT_BUCKET": services.bucket,
            "XRAYGPT_DERIVED_BUCKET": services.derived_bucket,
            "XRAYGPT_GATEWAY_PORT": str(self.secrets["gateway_port"]),
            "XRAYGPT_WEBHOOK_TOKEN": self.secrets["webhook_token"],
            "XRAYGPT_METRICS_TOKEN": self.secrets["metrics_token"],
            "XRAYGPT_FLOWER_PORT": str(self.secrets["flower_port"]),
            "XRAYGPT_FLOWER_PASSWORD": self.secrets["flower_password"],
            "XRAYGPT_FLOWER_GATEWAY_URL": self.gateway_url,
            "PYTHONUNBUFFERED": "1",
        }
        if self.tls:
            issued = self.tls.issue("gateway")
            ours["XRAYGPT_GATEWAY_CERTIFICATE_FILE"] = str(issued.file)
            ours["XRAYGPT_GATEWAY_KEY_FILE"] = str(issued.key_file)
            ours["XRAYGPT_GATEWAY_CA_FILE"] = str(self.tls.file)
        return {name: value for name, value in ours.items() if value is not None}

    def given_to(self, process: str, ours: Mapping[str, str]) -> dict[str, str]:
        own: dict[str, str | None] = {}
        if process in self._urls:
            access_key, secret_key = self._s3_keys[process]
            own = {
                "XRAYGPT_DATABASE_URL": self._urls[process],
                "XRAYGPT_S3_ACCESS_KEY": access_key,
                "XRAYGPT_S3_SECRET_KEY": secret_key,
            }
        given = {name: value for name, value in own.items() if value is not None}
        return environment_of(process, self.environ, {**ours, **given})

    def describe(self, services: BackingServices, ours: Mapping[str, str]) -> dict[str, Any]:
        access_key, secret_key = services.s3_keys
        return {
            "gateway_url": self.gateway_url,
            "database_url": services.database_url,
            "redis_url": services.redis_url,
            "s3_endpoint_url": services.s3_endpoint_url,
            "bucket": services.bucket,
            "derived_bucket": services.derived_bucket,
            "flower_url": f"http://127.0.0.1:{self.secrets['flower_port']}",
            "api_key": self.secrets["api_key"],
            "s3_access_key": access_key,
            "s3_secret_key": secret_key,
            "reader_url": ours["XRAYGPT_READER_URL"],
            "flower_user": self.environ.get("XRAYGPT_FLOWER_USER", "xraygpt"),
            "flower_password": self.secrets["flower_password"],
            "webhook_token": self.secrets["webhook_token"],
            "metrics_token": self.secrets["metrics_token"],
            "hmac_key_file": self.environ.get("XRAYGPT_HMAC_KEY_FILE"),
            "external": [name for name in ("postgres", "broker", "s3") if name not in services.units],
            "models": ours["XRAYGPT_MODELS"],
            "s3_ca_file": services.s3_ca_file,
            "ca_file": str(self.tls.file) if self.tls else None,
            "stop_seconds": stack_patience(self.environ),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
