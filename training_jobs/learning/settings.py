"""A configuration as a checkpoint and a result keep it: without paths, and compared with another one."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from xraygpt_core.training.config import Config

# What may change between a run and its continuation: none of it changes what is computed.
_FREE = frozenset(
    {"workers", "checkpoint_every", "micro_batch", "examples", "llm.gradient_checkpointing", "llm.strategy"}
)
_PATHS = frozenset({"films", "path", "images", "file", "files"})


def settings_of(config: Config) -> dict[str, Any]:
    """The configuration as a JSON object; of each path only whether there is one."""
    found: dict[str, Any] = _without_paths(asdict(config))
    return found


def differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``name: kept, now`` of every setting that differs and matters."""
    there, here = dict(_flat(kept)), dict(_flat(now))
    names = sorted(name for name in there.keys() | here.keys() if name not in _FREE)
    return [
        f"{name}: {there.get(name)!r}, now {here.get(name)!r}" for name in names if there.get(name) != here.get(name)
    ]


def _without_paths(value: Any, name: str = "") -> Any:
    if name in _PATHS:
        return len(value) if isinstance(value, list | tuple) else value is not None
    if isinstance(value, Mapping):
        return {key: _without_paths(inner, key) for key, inner in value.items()}
    return [_without_paths(inner) for inner in value] if isinstance(value, list | tuple) else value


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping) for inner in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{number}]")
    else:
        yield name, list(value) if isinstance(value, tuple) else value
