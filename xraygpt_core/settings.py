"""Every setting of every process: environment variables ``XRAYGPT_*``, read once, when a process starts.

A setting that is missing or impossible stops the process with one sentence (:class:`ConfigurationError`).
"""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_settings import KeySettings
from xraygpt_core.paths import models_dir
from xraygpt_core.shutdown import DRAIN_SECONDS
from xraygpt_core.states import Lane
from xraygpt_core.token_bucket import BudgetSetting, TokenBucket

_NO_HOST = "names no host and port: redis://user:password@host:port/0, with % escapes in the password"
_TLS_OPTIONS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_CERT_REQS = ("required", "optional", "none")


class FlowerSettings(BaseSettings):
    """What Flower is given: the broker, and the password of its pages."""

    model_config = SettingsConfigDict(env_prefix="XRAYGPT_", extra="ignore", frozen=True)

    redis_url: SecretStr = Field(description="redis:// or rediss:// URL of the broker")
    flower_host: str = Field("127.0.0.1", description="the address Flower listens on")
    flower_port: Annotated[int, Field(ge=0, le=65535)] = Field(5555, description="the port Flower listens on")
    flower_user: str = Field("xraygpt", description="the user name of Flower's pages")
    flower_password: SecretStr | None = Field(None, description="Flower does not start without one")
    flower_gateway_url: str | None = Field(
        None, description="the gateway that Flower asks whether a key is an operator's"
    )
    gateway_ca_file: Path | None = Field(
        None, description="the authority that signed the gateway's certificate, for its clients"
    )

    @field_validator("redis_url")
    @classmethod
    def _a_broker(cls, value: SecretStr) -> SecretStr:
        check_redis_url(value.get_secret_value())
        return value


class Settings(FlowerSettings, KeySettings):
    """All settings. xraygpt/stack/settings/environments.py says which process is given which."""

    # Services
    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database")
    reader_url: SecretStr | None = Field(None, description="the same database as the role xraygpt_reader, for `query`")
    s3_endpoint_url: str | None = Field(None, description="S3 endpoint; leave it out for AWS")
    s3_access_key: SecretStr | None = Field(None, description="access key; left out, boto3 looks for one itself")
    s3_secret_key: SecretStr | None = Field(None, description="the secret key of this access key")
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the S3 server's certificate; leave it out for AWS"
    )
    bucket: str = Field(description="the hospital's bucket; XrayGPT only reads it, apart from uploads/")
    derived_bucket: str = Field(description="the bucket XrayGPT writes normalised images and checkpoints to")

    # Gateway
    gateway_host: str = "127.0.0.1"
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    gateway_certificate_file: Path | None = Field(None, description="PEM file; with it the gateway speaks HTTPS only")
    gateway_key_file: Path | None = Field(None, description="the private key of this certificate")
    webhook_token: SecretStr | None = Field(None, description="bearer token of the bucket's event webhook")
    webhook_stat: bool = Field(False, description="whether an event may ask for the lane stat (?lane=stat)")
    session_idle_seconds: Annotated[float, Field(gt=0)] = Field(
        1800.0, description="a session ends when unused so long"
    )
    session_seconds: Annotated[float, Field(gt=0)] = Field(43200.0, description="a session ends so long after sign-in")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names under which the gateway answers, besides the machine's own and bare addresses; *: any"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    flower_url: AnyHttpUrl | None = Field(None, description="where browsers reach Flower; none: /ops has no link to it")
    connections: Annotated[int, Field(ge=1)] = Field(1024, description="open connections to the gateway")
    connections_per_address: Annotated[int, Field(ge=1)] = Field(
        256, description="of them from one address; a trusted proxy may have all"
    )

    queries_at_once: Annotated[int, Field(ge=1)] = Field(4, description="SQL statements of analysts that run at once")

    # How much one key, or one address without a key, may do: at once, and after that
    limit_request: BudgetSetting = Field(TokenBucket.read("3000+300/s"), description="requests of one key")
    limit_login: BudgetSetting = Field(TokenBucket.read("10+6/m"), description="logins from one address")
    limit_lookup: BudgetSetting = Field(TokenBucket.read("30+30/m"), description="numbers one key looks up")
    limit_question: BudgetSetting = Field(
        TokenBucket.read("60+60/m"), description="questions one key asks about studies"
    )
    limit_query: BudgetSetting = Field(TokenBucket.read("200+120/m"), description="SQL statements of one key")
    limit_wrong_key: BudgetSetting = Field(
        TokenBucket.read("600+30/m"), description="wrong keys from one address, before it is locked out for a while"
    )

    # Bucket events through Amazon SNS and SQS
    sns_topic_arns: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="topics the gateway takes events of, with commas between them; none: SNS is refused"
    )
    sns_host: str | None = Field(None, description="a private endpoint of SNS instead of sns.<region>.amazonaws.com")
    sqs_queue_url: str | None = Field(None, description="the queue the bucket's events come through, for `events`")
    sqs_endpoint_url: str | None = Field(None, description="SQS endpoint; leave it out for AWS")
    sqs_lane: Lane = Field(Lane.ROUTINE, description="the lane of what comes through this queue")
    sqs_wait_seconds: Annotated[int, Field(ge=0, le=20)] = Field(20, description="how long one look at it waits")
    sqs_visibility_seconds: Annotated[int, Field(ge=1, le=43200)] = Field(
        60,
        description="how long a message that was taken and not finished stays hidden; extended while it is worked on",
    )

    # Model
    models: Path = Field(default_factory=models_dir, description="where model bundles live")
    bundle: str = Field("demo", description="the one bundle a GPU worker loads")
    verify: Literal["quick", "full"] = Field("quick", description="full: hash every file of the bundle at each start")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …")
    batch_size: Annotated[int, Field(ge=1, le=4096)] = Field(32, description="summaries on the device at once")
    vllm_url: str | None = Field(None, description="a vLLM server that writes the text instead of our engine")
    vllm_key: SecretStr | None = Field(None, description="its API key; needed unless it listens on loopback")
    server_key: SecretStr | None = Field(None, description="the key of the chat server that has a bundle's model")
    cuda_graphs: bool = Field(False, description="replay decode steps as CUDA graphs; needs a GPU")
    batch_invariant: bool = Field(False, description="a text never depends on its batch mates, in bfloat16 too; slower")

    # Ledger
    lease_seconds: Annotated[float, Field(gt=0)] = Field(30.0, description="how long a claim lasts without a heartbeat")
    max_attempts: Annotated[int, Field(ge=1)] = Field(5, description="a job that failed so often is dead")
    retry_seconds: Annotated[float, Field(ge=0)] = Field(2.0, description="wait before the second attempt; doubles")
    window: Annotated[int, Field(ge=1)] = Field(32, description="messages kept in the broker per queue")
    stall_seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="a job silent for longer loses its lease")
    max_run_seconds: Annotated[float, Field(gt=0)] = Field(900.0, description="a job running for longer, too")
    drain_seconds: Annotated[float, Field(ge=0)] = Field(DRAIN_SECONDS, description="time to finish work after SIGTERM")
    tick_seconds: Annotated[float, Field(gt=0)] = Field(1.0, description="pause between two control ticks")
    settle_seconds: Annotated[float, Field(ge=0)] = Field(5.0, description="quiet time after which a study is whole")
    stat_quiet_seconds: Annotated[float, Field(ge=0)] = Field(
        1.0, description="the same for what follows the first frontal film of a stat study, which is drafted at once"
    )
    sweep_seconds: Annotated[float, Field(ge=0)] = Field(300.0, description="pause between bucket sweeps; 0 = never")
    analyst_dates: bool = Field(False, description="analysts' views show the day a film was taken, not its year alone")
    retention_days: Annotated[int, Field(ge=0)] = Field(0, description="purge studies older than this; 0 = keep")

    # Training
    train_processes: Annotated[int, Field(ge=1)] = Field(1, description="above 1 a run is started by torchrun")
    training_data: Path | None = Field(
        None, description="below this folder a run of the queue may read its sets and files; none: it reads none"
    )
    training_cache: Path | None = Field(
        None, description="where a training worker keeps features; none: in the user's cache directory"
    )
    training_cache_bytes: Annotated[int, Field(ge=0)] = Field(
        200 * 2**30, description="how much it keeps there beside what its run needs, oldest out first"
    )
    train_device_locks: Path | None = Field(
        None, description="folder where the training workers of a machine lock devices; none: one per user"
    )
    train_cpu_runs: Annotated[int, Field(ge=1)] = Field(1, description="runs at once on a machine without a GPU")
    train_stall_seconds: Annotated[float, Field(gt=0)] = Field(1800.0, description="stall_seconds of a training run")
    train_max_seconds: Annotated[float, Field(gt=0)] = Field(
        30 * 86400.0, description="max_run_seconds of a training run"
    )

    # Ingest
    max_object_bytes: Annotated[int, Field(ge=1)] = 256 * 2**20
    max_pixels: Annotated[int, Field(ge=1)] = 64 * 10**6
    decode_seconds: Annotated[float, Field(gt=0)] = 30.0
    decode_memory_bytes: Annotated[int, Field(ge=2**20)] = 2 * 2**30
    decoder_cell: Literal["best", "required"] = Field(
        "best", description="required: no file is read where the decoder's cell does not hold; best: with what there is"
    )
    keep_16_bit: bool = Field(False, description="whether a film's own values are kept, too, for readers' windows")
    ingest_concurrency: Annotated[int, Field(ge=1)] = 2

    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(0, description="a worker's own /metrics; 0 = none")
    metrics_host: str = Field("0.0.0.0", description="the address a worker's /metrics listens on")  # noqa: S104
    metrics_token: SecretStr | None = Field(
        None, min_length=16, description="bearer token that opens /metrics; a worker with a metrics port needs it"
    )
    task_events: bool = Field(True, description="whether workers send Celery's task events for each job, for Flower")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")

    @field_validator("sns_topic_arns", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return tuple(part for part in value.replace(",", " ").split() if part) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ip_network(proxy)) for proxy in value)
        except ValueError:
            raise ValueError("holds addresses and networks (10.0.0.7, 10.1.0.0/16), no names") from None

    @model_validator(mode="after")
    def _buckets_differ(self) -> Self:
        if self.bucket == self.derived_bucket:
            raise ValueError("XRAYGPT_BUCKET and XRAYGPT_DERIVED_BUCKET must name two different buckets")
        return self

    @model_validator(mode="after")
    def _whole_certificate(self) -> Self:
        if (self.gateway_certificate_file is None) != (self.gateway_key_file is None):
            raise ValueError("set both of XRAYGPT_GATEWAY_CERTIFICATE_FILE and XRAYGPT_GATEWAY_KEY_FILE, or neither")
        return self


def check_redis_url(url: str) -> None:
    """Celery and redis-py read these URLs differently where they are not quite right, so such ones are refused.

    Raises:
        ValueError: saying what is wrong, without repeating the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket without its other half
        raise ValueError(_NO_HOST) from None
    if parts.scheme in ("sentinel", "redis+sentinel", "rediss+sentinel") or ";" in parts.netloc:
        raise ValueError("Redis Sentinel is not supported: name the master, or a proxy or address that follows it")
    if parts.scheme not in ("redis", "rediss") or not url.startswith(f"{parts.scheme}://"):
        raise ValueError("must look like redis://user:password@host:port/0, or rediss:// with TLS")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("a /, ? or # in the user name or password is written %2F, %3F or %23")
    try:
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s,]", url):
        raise ValueError(_NO_HOST)
    if parts.path not in ("", "/") and not re.fullmatch(r"/[0-9]{1,5}", parts.path):
        raise ValueError("ends with the number of a database, such as /0")
    _check_broker_options(parts.query, tls=parts.scheme == "rediss")


def _check_broker_options(query: str, *, tls: bool) -> None:
    """Celery hands the options on to a class that takes these only; any other would fail at the first message."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not tls or name not in _TLS_OPTIONS:
            raise ValueError(f"behind its ? only rediss:// may have options, and only {', '.join(_TLS_OPTIONS)}")
        if name == "ssl_cert_reqs" and value not in _CERT_REQS:
            raise ValueError(f"ssl_cert_reqs is one of {', '.join(_CERT_REQS)}")


_Kind = TypeVar("_Kind", bound=BaseSettings)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: naming each variable that is missing or impossible.
    """
    return read_settings(Settings)


def read_settings(kind: type[_Kind], **given: Any) -> _Kind:
    """The same, for a process that needs less; ``given`` goes before the environment."""
    try:
        return kind(**given)  # the other fields come from the environment
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None


def load_database_settings() -> Settings:
    """The same, for a command that needs the database alone: the other settings may be missing.

    Raises:
        ConfigurationError: as :func:`load_settings`.
    """
    unused = {"redis_url": "redis://unused:1/0", "bucket": "unused", "derived_bucket": "unused-derived"}
    missing = {name: value for name, value in unused.items() if f"XRAYGPT_{name.upper()}" not in os.environ}
    if not {"XRAYGPT_HMAC_KEY", "XRAYGPT_HMAC_KEY_FILE"} & os.environ.keys():
        missing["hmac_key"] = "unused"
    return read_settings(Settings, **missing)


def _sentence(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        name = f"XRAYGPT_{where.upper()}: " if where else ""
        problems.append(f"{name}{item['msg'].removeprefix('Value error, ')}")
    return "settings: " + "; ".join(problems)
