"""Making bundles: from a base bundle and newly trained parts, or from parts alone. All or nothing."""

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import FILE, B, Bundle, hash_files, read_bundle, write_toml
from xraygpt_core.model.llm_folder import llm_files
from xraygpt_core.scope import Scope, inherited, scope_table

ENCODER_FILE = "encoder.safetensors"
PROJECTOR_FILE = "projector.safetensors"
CHEST_CHECK_FILE = "chest_check.safetensors"
ADAPTER_FOLDER = "adapter"
LLM_FOLDER = "llm"
_MOST_HEADER = 2**20
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def compose_bundle(
    base: Bundle,
    models: Path,
    name: str,
    *,
    projector: Path | None,
    adapter: Path | None,
    llm: Path | None = None,
    chest_check: Path | None = None,
    encoder: Path | None = None,
    scope: Scope | None = None,
) -> Bundle:
    """The base with other parts, as ``models/name``. The files of the rest are hard links.

    Composing the same parts again gives the bundle that is there.

    Args:
        llm: a whole Hugging Face folder instead of the base's LLM; the base's adapter, which was made for that, goes
            with it. How it is loaded (dtype, int8 or fp8) stays as the base has it.
        encoder: whole weights of the base's class, or a delta to the base's; projector and chest check go with those.
        scope: what the new bundle declares. None: what it inherits, without the figures of weights it does not have.

    Raises:
        BundleError: a part is missing or does not fit, or ``name`` exists with other contents.
    """
    with new_bundle(models, name) as (work, commit):
        tables = _tables_of(base, name, scope)
        parts = [(projector, base.projector_weights), (adapter, base.adapter), (chest_check, base.chest_check)]
        parts += [(llm, base.llm), (llm, base.adapter)]
        parts += [(encoder, base.encoder_weights), (encoder, base.projector_weights), (encoder, base.chest_check)]
        files = _without(base, [old for new, old in parts if new is not None and old is not None])
        _link_all(base, files, work)
        for part in ("projector", "chest_check") if encoder is not None else ():
            tables.pop(part, None)
        added = _added(base, tables, projector, adapter, llm, chest_check)
        tables["files"] = files | _copy_all(added, work)
        if encoder is not None:
            tables["files"] |= _exchange_encoder(base, tables, encoder, work)
        write_toml(work, tables)
        return commit()


def _added(
    base: Bundle,
    tables: dict[str, Any],
    projector: Path | None,
    adapter: Path | None,
    llm: Path | None,
    chest_check: Path | None,
) -> dict[str, Path]:
    """Note the new parts in the tables. Their files, by the names they have in the new bundle."""
    added: dict[str, Path] = {}
    if projector is not None:
        tables["projector"] = {"class": _class_of(projector), "weights": PROJECTOR_FILE}
        added[PROJECTOR_FILE] = projector
    if llm is not None:
        tables["llm"].pop("adapter", None)
        tables["llm"]["folder"] = LLM_FOLDER
        kept = "projector" in tables and projector is None
        added |= {f"{LLM_FOLDER}/{file}": llm / file for file in llm_files(llm, base.llm, same_width=kept)}
    if adapter is not None:
        tables["llm"]["adapter"] = ADAPTER_FOLDER
        added |= {f"{ADAPTER_FOLDER}/{file}": adapter / file for file in ADAPTER_FILES}
    if chest_check is not None:
        tables["chest_check"] = {"weights": CHEST_CHECK_FILE}
        added[CHEST_CHECK_FILE] = chest_check
    return added


def _exchange_encoder(base: Bundle, tables: dict[str, Any], encoder: Path, work: Path) -> dict[str, str]:
    """Write the encoder and its table, and try the new parts with it. The digest of its file."""
    from xraygpt_core.model.new_encoder import check_parts, write_encoder

    tables["encoder"] = write_encoder(base, encoder, work / ENCODER_FILE)
    check_parts(work, tables)
    return hash_files(work, [ENCODER_FILE])


def quantise_bundle(base: Bundle, models: Path, name: str, weights: str) -> Bundle:
    """The base with its LLM's matrices as ``int8`` or ``fp8``, made when it is loaded. Its files are hard links.

    Raises:
        BundleError: the base is quantised already, or ``name`` exists with other contents.
    """
    if base.weights is not None:
        raise BundleError(f"bundle {base.name!r} has {base.weights} weights already; quantise the one it was made from")
    with new_bundle(models, name) as (work, commit):
        tables = _tables_of(base, name, None)
        tables["llm"]["weights"] = weights
        _link_all(base, base.files, work)
        write_toml(work, tables)
        return commit()


def _class_of(projector: Path) -> str:
    """The class in the header of a projector's file, as ``save_projector`` writes it; read without torch."""
    try:
        with projector.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= _MOST_HEADER else {}
        return str(header["__metadata__"]["class"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "MapProjector"  # the only one there was before headers named it; loading it says if it is none


def _tables_of(base: Bundle, name: str, scope: Scope | None) -> dict[str, Any]:
    tables = tomllib.loads((base.path / FILE).read_text())
    tables["name"] = name
    tables.pop("scope", None)
    if (declared := scope_table(scope or inherited(base.scope, base.name))) is not None:
        tables["scope"] = declared
    return tables


def _without(base: Bundle, replaced: list[Path]) -> dict[str, str]:
    """The base's files, but for those at or below these paths."""
    gone = {name for name in base.files if any((base.path / name).is_relative_to(path) for path in replaced)}
    return {name: digest for name, digest in base.files.items() if name not in gone}


def write_bundle(path: Path, name: str, tables: Mapping[str, Any]) -> None:
    """Write ``bundle.toml`` for a directory whose files are all in place; every file below it is hashed."""
    found = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    names = [str(file) for file in found if file.name != FILE and not file.name.startswith(".")]
    write_toml(path, {"format": 1, "name": name, **tables, "files": hash_files(path, names)})


def new_bundle(models: Path, name: str) -> AbstractContextManager[tuple[Path, Callable[[], Bundle]]]:
    """:func:`new_bundle_of` for a bundle with weights."""
    return new_bundle_of(models, name, read_bundle)


@contextmanager
def new_bundle_of(models: Path, name: str, read: Callable[[Path], B]) -> Iterator[tuple[Path, Callable[[], B]]]:
    """A hidden work directory beside the bundles; calling the second value makes it ``models/name`` in one rename.

    Args:
        read: reads a bundle of its kind.
    """
    models.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=models))
    work.chmod(0o755)
    target = models / name

    def commit() -> B:
        read(work)
        if not (target / FILE).is_file():
            work.replace(target)
        elif (target / FILE).read_bytes() != (work / FILE).read_bytes():
            raise BundleError(f"there is another bundle {name!r} in {models}; remove it or take another name")
        return read(target)

    try:
        yield work, commit
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _link_all(base: Bundle, files: Iterable[str], work: Path) -> None:
    for file in files:
        target = work / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(base.path / file, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(base.path / file, target)


def _copy_all(sources: Mapping[str, Path], work: Path) -> dict[str, str]:
    """Copy new files to their names below ``work``; their digests."""
    for file, source in sources.items():
        if not source.is_file():
            raise BundleError(f"{source} is missing")
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, work / file)
    return hash_files(work, list(sources))
