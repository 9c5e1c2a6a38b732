"""What a report says of a run's data and settings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from training_jobs.corpora.mixtures import mixture_of
from training_jobs.features.shard_index import NO_TEXT, index_of
from training_jobs.features.stream import PairStream
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.config import Config
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.mixture import SetSpec
from xraygpt_core.training.pairs import SPLITS
from xraygpt_core.training.presets import PRESETS, explain

_SAID = ("name", "reader", "weight", "licence")  # in columns of their own
_PATHS = ("path", "images", "file", "films")
_PROBLEMS = "problems.jsonl"  # beside corpus.json, where there is one (training_jobs.corpora.build)
_MOST_LINE = 2**20


SET_HEADS = ("set", "reader", "weight", *SPLITS, "with a text", "licence", "its settings")


def set_rows(corpora: Sequence[Corpus], config: Config) -> list[list[str]]:
    """For each set what :data:`SET_HEADS` names: pairs of each split, its licence, and how it was read."""
    pairs, texts = Counter[tuple[str, str]](), Counter[str]()
    weights: dict[str, float] = {}
    for corpus in corpora:
        index = index_of(corpus)
        weights |= corpus.weights
        for number, name in enumerate(index.sets):
            own = index.set_number == number
            texts[name] += int((own & (index.letters != NO_TEXT)).sum())
            for place, split in enumerate(SPLITS):
                pairs[name, split] += int((own & (index.split == place)).sum())
    specs = {spec.name: spec for spec in mixture_of(config).sets}
    return [
        [
            name,
            specs[name].reader if name in specs else "",
            f"{weights.get(name, 1.0):g}",
            *(str(pairs[name, split]) for split in SPLITS),
            str(texts[name]),
            *(_about(specs[name]) if name in specs else ("not said", "")),
        ]
        for name in sorted({name for name, _ in pairs})
    ]


def _about(spec: SetSpec) -> tuple[str, str]:
    """Licence, and what is set otherwise than by default."""
    own = {name: value for name, value in _own(spec).items() if name not in _SAID}
    told = ", ".join(f"{name} {_hidden(name, value)}" for name, value in flat(own))
    return spec.licence or ("drawn by us" if spec.drawn else "not said"), told


def dropped_rows(corpora: Sequence[Corpus]) -> list[list[str]]:
    """Set, reason and number of what was read and is not trained on; no file or row of it."""
    dropped = Counter[tuple[str, str]]()
    for corpus in corpora:
        for data in _lines(corpus):
            counts = data.get("counts")
            for reason, count in counts.items() if isinstance(counts, Mapping) else ():
                dropped[str(data.get("set")), str(reason)] += count if isinstance(count, int) else 0
    return [[name, reason.replace("_", " "), str(count)] for (name, reason), count in sorted(dropped.items())]


def _lines(corpus: Corpus) -> Iterator[dict[str, Any]]:
    try:
        with (corpus.path / _PROBLEMS).open("rb") as file:
            while line := file.readline(_MOST_LINE):
                data = json.loads(line)
                if isinstance(data, dict):
                    yield data
    except (OSError, ValueError, RecursionError):
        return  # prepared by the queue, which counts elsewhere


def setting_rows(config: Config) -> list[list[str]]:
    """Every hyper-parameter: its value; where a preset was taken, what was published, where, and why ours differs."""
    told = {name: value for name, value in flat(asdict(config)) if not name.startswith("mixture")}
    rows = []
    if config.preset is not None and config.preset in PRESETS:
        for row in explain(PRESETS[config.preset], asdict(config)):
            told.pop(row.key, None)
            rows.append([row.key, _shown(row.value), _shown(row.original), row.source, row.why])
    return rows + [[name, _hidden(name, value), "", "", ""] for name, value in told.items()]


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested objects."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def repeatable(config: Config) -> str:
    """The configuration as JSON, without what has its default; a word stands for each path of a machine."""
    own = _own(config)
    return json.dumps(_without_paths(own), indent=2, ensure_ascii=False)


def _own(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not its defaults."""
    found = {}
    for field in fields(value):
        now = getattr(value, field.name)
        if now == field.default:
            continue
        if hasattr(now, "__dataclass_fields__"):
            now = _own(now)
        elif isinstance(now, tuple):
            now = [_own(one) if hasattr(one, "__dataclass_fields__") else one for one in now]
        if now not in ({}, []):
            found[field.name] = dict(now) if isinstance(now, Mapping) else now
    return found


def _without_paths(data: Any, name: str = "") -> Any:
    if isinstance(data, dict):
        called = data.get("name", "")
        return {
            key: f"PATH OF {called or key}" if key in _PATHS and value is not None else _without_paths(value, key)
            for key, value in data.items()
        }
    if name == "files":
        return [f"FILE {number}" for number, _ in enumerate(data, 1)]
    return [_without_paths(one) for one in data] if isinstance(data, list) else data


def _hidden(name: str, value: Any) -> str:
    last = name.rpartition(".")[2]
    if last in _PATHS and value is not None:
        return "given"
    return f"{len(value)} files" if last == "files" else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | tuple | dict) else str(value)


def usual_texts(corpora: Sequence[Corpus], count: int, seed: int) -> list[str]:
    """Some texts that were trained on, to find the most frequent one."""
    try:
        stream = PairStream(corpora, split="train", batch=64, seed=seed)
    except TrainingError:
        return []
    return [pair.text for batch in stream.once(count) for pair in batch.pairs if pair.text]
