"""Names of tensors: as published, as the classes of today call them, and which published ones are of no use here.

transformers 5 renamed the layers of Swin and Dinov2 and renames published files only inside its own
``from_pretrained``. Here each of our names is mapped to the published one, and every name must be accounted for.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.findings import few
from xraygpt_core.model.importing.tensors import TensorFiles

_QKV = {"q": "query", "k": "key", "v": "value"}

# our name (transformers 5) -> published name (transformers 4), applied in order
Rules = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

SWIN: Rules = (
    (r"\.attention\.([qkv])_proj\.", lambda m: f".attention.self.{_QKV[m[1]]}."),
    (r"\.attention\.relative_position_bias\.relative_position", ".attention.self.relative_position"),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
DINOV2: Rules = (
    (r"\.attention\.([qkv])_proj\.", lambda m: f".attention.attention.{_QKV[m[1]]}."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
)


@dataclass(frozen=True)
class TensorLayout:
    """How a published file names what one of our modules needs.

    Attributes:
        rules: our name to the published one; a name no rule touches is the same in both.
        prefixes: what our names begin with, and what the published ones begin with instead.
        ignorable: patterns of published names that this module has no use for.
    """

    rules: Rules
    prefixes: Mapping[str, str]
    ignorable: tuple[str, ...] = ()

    def published(self, name: str) -> str:
        """The published name of one of our tensors."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return self.moved(name)

    def moved(self, name: str) -> str:
        """Our name where only the prefix differs: what transformers 5 itself would have saved."""
        for ours, theirs in self.prefixes.items():
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        return name


@dataclass(frozen=True)
class Matched:
    """Our name -> name in the file; how many differ by more than their prefix; what in the file is not used."""

    names: Mapping[str, str]
    renamed: int
    ignored: list[str]


def match(wanted: Iterable[str], files: TensorFiles, layout: TensorLayout, what: str) -> Matched:
    """Find each wanted tensor in the file, and account for all the others.

    Raises:
        BundleError: naming what is missing and what is unknown.
    """
    names: dict[str, str] = {}
    missing: list[str] = []
    for ours in wanted:
        candidates = dict.fromkeys((layout.published(ours), layout.moved(ours)))
        found = next((name for name in candidates if name in files), None)
        if found is None:
            missing.append(next(iter(candidates)))
        else:
            names[ours] = found
    rest = sorted(set(files) - set(names.values()))
    ignored = [name for name in rest if any(re.search(pattern, name) for pattern in layout.ignorable)]
    unknown = [name for name in rest if name not in ignored]
    source = files.source.name
    if missing:
        also = f"; it has instead {few(unknown)}, which nothing needs" if unknown else ""
        raise BundleError(f"{source} is not a whole {what}: {few(missing)} missing{also}")
    if unknown:
        raise BundleError(f"{source} has {few(unknown)}, which a {what} does not have")
    renamed = sum(1 for ours, theirs in names.items() if theirs != layout.moved(ours))
    return Matched(names, renamed, ignored)


def check_shapes(own: Mapping[str, Sequence[int]], files: TensorFiles, matched: Matched, what: str) -> None:
    """Compare every shape before a byte is read.

    Raises:
        BundleError: naming a tensor with both shapes.
    """
    for ours, theirs in matched.names.items():
        if tuple(own[ours]) != files.shape(theirs):
            raise BundleError(
                f"{files.source.name}: {theirs} is {sizes(files.shape(theirs))}, a {what} has {sizes(own[ours])} there"
            )


def sizes(shape: Sequence[int]) -> str:
    """A shape as people write it."""
    return " x ".join(map(str, shape)) or "a single number"


def count(files: TensorFiles, pattern: str) -> int:
    """How many layers there are: one more than the largest number that ``pattern`` captures, 0 if none does."""
    found = [int(hit[1]) for name in files if (hit := re.search(pattern, name))]
    return max(found, default=-1) + 1
