"""The settings of one stack: its ports, secrets and addresses, and which of them each process is given."""

import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.processes.programs import EVENTS, WORKERS
from xraygpt.stack.servers.ports import choose, keep, occupy
from xraygpt.stack.servers.services import BackingServices
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.environments import environment_of
from xraygpt.stack.settings.home import Home, finish_replacing, make_key
from xraygpt.stack.settings.prometheus import prometheus_config
from xraygpt.stack.settings.remembered import recall, remember, replace_file, secret
from xraygpt.stack.settings.switches import is_on
from xraygpt_core.clinical_sealing import sealing_half
from xraygpt_core.key_settings import KeySettings
from xraygpt_core.logins import PROCESSES, READER, ROLES
from xraygpt_core.paths import models_dir
from xraygpt_core.settings import read_settings
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
        finish_replacing(self.home)
        if "XRAYGPT_HMAC_KEY" not in self.environ and "XRAYGPT_HMAC_KEY_FILE" not in self.environ:
            if make_key(self.home.hmac_key_file):
                self.say(
                    f"new pseudonymisation key {self.home.hmac_key_file}: back it up now. "
                    "Without it no patient, study or accession number leads to its summary again."
                )
            self.environ["XRAYGPT_HMAC_KEY_FILE"] = str(self.home.hmac_key_file)
            if self.home.old_hmac_key_file.exists():
                self.environ["XRAYGPT_HMAC_OLD_KEY_FILE"] = str(self.home.old_hmac_key_file)
        self._choose_sealing_key()
        self._choose_clinical_key()
        secrets, held = recall(self.home.secrets_file), {}
        for name in ("webhook_token", "reader_password", "flower_password", "metrics_token"):
            secrets.setdefault(name, secret())
        secrets["role_passwords"] = {role: secret() for role in ROLES} | secrets.get("role_passwords", {})
        for program in ("gateway", "flower"):
            name = f"{program}_port"
            secrets[name] = keep(program, self.environ, secrets.get(name), self.say)
            held[program] = occupy(secrets[name])  # it starts last; another program may look for a port now
        for worker in self._workers:
            name = f"{worker}_metrics_port"
            secrets[name] = choose(secrets.get(name))
            held[worker] = occupy(secrets[name])
        self.secrets = secrets
        remember(self.home.secrets_file, secrets)
        if is_on(self.environ, "XRAYGPT_STACK_TLS"):
            self.tls = Authority(self.home.certificates)
        return held

    def _choose_sealing_key(self) -> None:
        """The key of the hospital's numbers, where they are kept."""
        given = {"XRAYGPT_SEALING_KEY", "XRAYGPT_SEALING_KEY_FILE"} & self.environ.keys()
        if given or not is_on(self.environ, "XRAYGPT_SEALED_NUMBERS"):
            return
        if make_key(self.home.sealing_key_file):
            self.say(
                f"new sealing key {self.home.sealing_key_file}: back it up now. "
                "Without it no accession or patient number that is kept can be shown again."
            )
        self.environ["XRAYGPT_SEALING_KEY_FILE"] = str(self.home.sealing_key_file)
        if self.home.old_sealing_key_file.exists():
            self.environ["XRAYGPT_SEALING_OLD_KEY_FILE"] = str(self.home.old_sealing_key_file)

    def _choose_clinical_key(self) -> None:
        """The key of clinical text, where models are shown it, and its half for those that seal."""
        if not is_on(self.environ, "XRAYGPT_CLINICAL_TEXT"):
            return
        if not {"XRAYGPT_CLINICAL_KEY", "XRAYGPT_CLINICAL_KEY_FILE"} & self.environ.keys():
            if make_key(self.home.clinical_key_file):
                self.say(
                    f"new key of the clinical text {self.home.clinical_key_file}: back it up now. "
                    "Without it no model is shown again what was known when the films of before were asked for."
                )
            self.environ["XRAYGPT_CLINICAL_KEY_FILE"] = str(self.home.clinical_key_file)
        old = {"XRAYGPT_CLINICAL_OLD_KEY", "XRAYGPT_CLINICAL_OLD_KEY_FILE"}
        if self.home.old_clinical_key_file.exists() and old.isdisjoint(self.environ):
            self.environ["XRAYGPT_CLINICAL_OLD_KEY_FILE"] = str(self.home.old_clinical_key_file)
        if not {"XRAYGPT_CLINICAL_SEALING_HALF", "XRAYGPT_CLINICAL_SEALING_HALF_FILE"}.isdisjoint(self.environ):
            raise StackError(
                "XRAYGPT_CLINICAL_SEALING_HALF is for servers: `xraygpt up` makes the half from the key; leave it out"
            )
        names = [name for name in KeySettings.model_fields if f"XRAYGPT_{name.upper()}" in self.environ]
        given = {name: self.environ[f"XRAYGPT_{name.upper()}"] for name in names}
        self.environ["XRAYGPT_CLINICAL_SEALING_HALF"] = sealing_half(read_settings(KeySettings, **given))

    @property
    def _workers(self) -> tuple[str, ...]:
        return (*WORKERS, *(EVENTS if self.environ.get("XRAYGPT_SQS_QUEUE_URL") else ()))

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where each process shows its metrics to who knows the token."""
        ports = {worker: self.secrets[f"{worker}_metrics_port"] for worker in self._workers}
        workers = {worker: f"http://127.0.0.1:{port}/metrics" for worker, port in ports.items()}
        return {"gateway": f"{self.gateway_url}/metrics"} | workers

    def write_prometheus(self) -> None:
        """The configuration that a Prometheus of this machine can be started with."""
        ca_file = str(self.tls.file) if self.tls else None
        config = prometheus_config(self.metrics_urls, self.secrets["metrics_token"], ca_file)
        replace_file(self.home.prometheus_file, config.encode(), 0o600)

    @property
    def webhook_url(self) -> str:
        return f"{self.gateway_url}/v1/events/s3"

    @property
    def gateway_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.secrets['gateway_port']}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.secrets['flower_port']}"

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
            "XRAYGPT_FLOWER_URL": self.environ.get("XRAYGPT_FLOWER_URL", self.flower_url),
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
        if process in self._workers:
            own["XRAYGPT_METRICS_PORT"] = str(self.secrets[f"{process}_metrics_port"])
            own["XRAYGPT_METRICS_HOST"] = "127.0.0.1"
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
            "flower_url": self.flower_url,
            "api_key": self.secrets["api_key"],
            "s3_access_key": access_key,
            "s3_secret_key": secret_key,
            "reader_url": ours["XRAYGPT_READER_URL"],
            "flower_user": self.environ.get("XRAYGPT_FLOWER_USER", "xraygpt"),
            "flower_password": self.secrets["flower_password"],
            "webhook_token": self.secrets["webhook_token"],
            "metrics_token": self.secrets["metrics_token"],
            "metrics_urls": self.metrics_urls,
            "prometheus_config": str(self.home.prometheus_file),
            **{
                name: self.environ.get(f"XRAYGPT_{name.upper()}")
                for name in ("hmac_key_file", "sealed_numbers", "sealing_key_file", "sealing_old_key_file")
            },
            "external": [name for name in ("postgres", "broker", "s3") if name not in services.units],
            "models": ours["XRAYGPT_MODELS"],
            "s3_ca_file": services.s3_ca_file,
            "ca_file": str(self.tls.file) if self.tls else None,
            "stop_seconds": stack_patience(self.environ),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
