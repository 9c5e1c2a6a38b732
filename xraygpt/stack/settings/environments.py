"""What each process of ours is given: its own secrets, the settings that are none, and little of the shell's.

The secrets stand in one table, so that "who holds the pseudonymisation key?" has one answer. They travel in the
environment, which only the user of the process and root can read; files would be read by the same two.
"""

from collections.abc import Mapping

from pydantic import SecretStr

from xraygpt_core.settings import FlowerSettings, Settings

_DATABASE = {"XRAYGPT_DATABASE_URL"}
_BROKER = {"XRAYGPT_REDIS_URL"}
_S3 = {"XRAYGPT_S3_ACCESS_KEY", "XRAYGPT_S3_SECRET_KEY"}
_CERTIFICATE = {"XRAYGPT_GATEWAY_CERTIFICATE_FILE", "XRAYGPT_GATEWAY_KEY_FILE"}
_PSEUDONYMS = {
    *("XRAYGPT_HMAC_KEY", "XRAYGPT_HMAC_KEY_FILE"),
    *("XRAYGPT_HMAC_OLD_KEY", "XRAYGPT_HMAC_OLD_KEY_FILE"),
}
_NUMBERS = {
    *("XRAYGPT_SEALING_KEY", "XRAYGPT_SEALING_KEY_FILE"),
    *("XRAYGPT_SEALING_OLD_KEY", "XRAYGPT_SEALING_OLD_KEY_FILE"),
}
_OPENS_WORDS = {
    *("XRAYGPT_CLINICAL_KEY", "XRAYGPT_CLINICAL_KEY_FILE"),
    *("XRAYGPT_CLINICAL_OLD_KEY", "XRAYGPT_CLINICAL_OLD_KEY_FILE"),
}
_SEALS_WORDS = {"XRAYGPT_CLINICAL_SEALING_HALF", "XRAYGPT_CLINICAL_SEALING_HALF_FILE"}
_WORKER = _DATABASE | _BROKER | _S3 | {"XRAYGPT_METRICS_TOKEN"}

SECRETS_OF: Mapping[str, frozenset[str]] = {
    process: frozenset(names)
    for process, names in {
        "migrations": _DATABASE,
        "begin-rotation": _DATABASE | _BROKER | _PSEUDONYMS,
        "gateway": _WORKER
        | (_PSEUDONYMS | _NUMBERS | _SEALS_WORDS | _CERTIFICATE)
        | {"XRAYGPT_READER_URL", "XRAYGPT_WEBHOOK_TOKEN"},
        "create-key": _DATABASE | _BROKER,
        "ingest": _WORKER | _PSEUDONYMS | _NUMBERS | _SEALS_WORDS,
        "gpu": _WORKER | _OPENS_WORDS | {"XRAYGPT_VLLM_KEY", "XRAYGPT_SERVER_KEY"},
        "training": _WORKER,
        "control": _WORKER,
        "events": _WORKER,
        "flower": _BROKER | {"XRAYGPT_FLOWER_PASSWORD", "XRAYGPT_FLOWER_GATEWAY_URL"},
    }.items()
}

# Of the shell's own: where programs, libraries, certificates and proxies are, and how threads, time and language go.
_SYSTEM = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "XDG_CACHE_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
_SYSTEM_PREFIXES = ("LC_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "GOTO_", "MALLOC_")
_PROXIES = frozenset(["http_proxy", "https_proxy", "no_proxy", "all_proxy"])
# What the devices and the libraries of models listen to; for the processes that load them.
_MODEL_PREFIXES = (
    "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "TORCH", "PYTORCH_", "TRITON_", "VLLM_", "HF_", "TRANSFORMERS_",
    "TOKENIZERS_", "HUGGINGFACE_",
)  # fmt: skip
_MODEL = frozenset({"gpu", "training"})
# boto3's own search for credentials: for reading a bucket where no keys are given, and for the queue of events.
_AWS_PREFIXES = ("AWS_", "BOTO_")
_HOME = frozenset({"XRAYGPT_HOME", "XRAYGPT_MODELS"})


def environment_of(process: str, shell: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of one process.

    Args:
        process: a name of :data:`SECRETS_OF`.
        shell: the user's environment.
        ours: what the stack itself says; goes before the shell's.
    """
    given = {**shell, **ours}
    chain = process == "events" or not given.keys() >= _S3
    return {name: value for name, value in given.items() if _passes(process, name, chain=chain)}


def system(shell: Mapping[str, str]) -> dict[str, str]:
    """What a server that is not ours is given of the shell's environment."""
    return {name: value for name, value in shell.items() if _is_system(name)}


def _passes(process: str, name: str, *, chain: bool) -> bool:
    secrets = SECRETS_OF[process]
    if name in _ALL_SECRETS:
        return name in secrets
    if name.startswith("XRAYGPT_SERVER_KEY_"):  # of further servers; a bundle names its own
        return "XRAYGPT_SERVER_KEY" in secrets
    if name in _SETTINGS:
        return process != "flower" or name in _FLOWER_SETTINGS
    if name.startswith(_MODEL_PREFIXES):
        return process in _MODEL
    if name.startswith(_AWS_PREFIXES):
        return chain and secrets >= _S3
    if name.startswith("FLOWER_"):
        return process == "flower"
    return _is_system(name)


def _is_system(name: str) -> bool:
    return name in _SYSTEM or name.lower() in _PROXIES or name.startswith(_SYSTEM_PREFIXES)


def _names(kind: type[FlowerSettings]) -> frozenset[str]:
    return frozenset(f"XRAYGPT_{name.upper()}" for name in kind.model_fields)


def _secret_names() -> frozenset[str]:
    """By their type; a file with a secret in it counts, too."""
    typed = {
        f"XRAYGPT_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    }
    return frozenset(typed | _PSEUDONYMS | _NUMBERS | _OPENS_WORDS | _SEALS_WORDS | _CERTIFICATE)


_SETTINGS = _names(Settings) | _HOME
_FLOWER_SETTINGS = _names(FlowerSettings) | _HOME
_ALL_SECRETS = _secret_names()
