"""Every statement of the ledger that changes the state of an image or a study is in the tables of lifecycle.py."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from xraygpt_core import ledger
from xraygpt_core.ledger.studies.lifecycle import IMAGE_TRANSITIONS, NEW, REPLACED, STUDY_TRANSITIONS, Transition
from xraygpt_core.states import ImageState, StudyState

ROOM = Path(ledger.__file__).parent
ROOT = ROOM.parents[1]
OTHERS = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "xraygpt")
TABLES = {"images": IMAGE_TRANSITIONS, "studies": STUDY_TRANSITIONS}
STATES = {"images": set(ImageState), "studies": set(StudyState)}
_STATEMENT = re.compile(r"\b(?:UPDATE (studies|images) SET|INSERT INTO (studies|images)\b)")
_ANY_WRITING = re.compile(
    r"\b(?:UPDATE|INSERT\s+INTO|MERGE\s+INTO)\s+(?:ONLY\s+)?(?:studies|images|inserted|\{\w*\})", re.I
)
_READABLE = re.compile(r"UPDATE (?:studies|images) SET\s+\w+ = |INSERT INTO (?:studies|images) \(")
_UNREADABLE = re.compile(r"\bstate=|\bstate\b[^()]*\) = |\bDO UPDATE\b", re.I)
_ENDS = re.compile(r"\b(?:WHERE|FROM|RETURNING)\b")
_GUARD = re.compile(r"(?<![\w.])(?:images\.|studies\.)?state (?:= '\w+'|IN \([^)]*\))")


class Change(NamedTuple):
    """A statement that sets a state.

    Attributes:
        targets: none where they are parameters, or another row's.
        guards: the states it asks for; none where it takes any.
    """

    table: str
    inserts: bool
    targets: frozenset[str]
    guards: frozenset[str] = frozenset()


def outside_brackets(sql: str) -> str:
    """The text up to the bracket that closes it, with a dot for each letter inside brackets of its own."""
    depth, kept = 0, []
    for letter in sql:
        depth -= letter == ")"
        if depth < 0:
            break
        kept.append("." if depth else letter)
        depth += letter == "("
    return "".join(kept)


def updates(table: str, sql: str) -> Iterator[Change]:
    """The change of state of an UPDATE, whose text begins after SET; nothing if it sets no state."""
    outline = outside_brackets(sql)
    end = _ENDS.search(outline)
    sets = outline[: end.start()] if end else outline
    values = dict(one.strip().split(" = ", 1) for one in sets.split(",") if " = " in one)
    if "state" in values:
        rest = sql[len(sets) : len(outline)]
        replaced = values.get("reason_code") == "'replaced'"
        targets = {REPLACED} if replaced else set(re.findall(r"(?:^|THEN |ELSE )'(\w+)'", values["state"]))
        asked = [found for found in _GUARD.finditer(rest) if outline[len(sets) + found.start()] != "."]
        guards = {state for found in asked for state in re.findall(r"'(\w+)'", found.group())}
        if guards == {"cancelled"} and "reason_code = 'replaced'" in rest:
            guards = {REPLACED}
        yield Change(table, False, frozenset(targets), frozenset(guards))


def changes(sql: str) -> Iterator[Change]:
    """The changes of state in a text of SQL."""
    for found in _STATEMENT.finditer(sql):
        updated, inserted = found.groups()
        if updated:
            yield from updates(updated, sql[found.end() :])
        else:
            states = (word for word in re.findall(r"'(\w+)'", sql[found.end() :]) if word in STATES[inserted])
            yield Change(inserted, True, frozenset(list(states)[:1]))


def unreadable(sql: str) -> list[str]:
    """The statements on images and studies that :func:`changes` might overlook, by how they begin."""
    found = [one for one in _ANY_WRITING.finditer(sql) if not _READABLE.match(sql, one.start())]
    found += [one for one in _UNREADABLE.finditer(sql) if _STATEMENT.search(sql)]
    return [one.group() for one in found]


def texts(path: Path) -> Iterator[str]:
    """The strings of a module, f-strings with a name in place of what they insert; or a whole file of SQL."""
    if path.suffix == ".sql":
        yield path.read_text()
        return
    tree = ast.parse(path.read_text())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "inserted" for part in node.values)


def of_ledger() -> dict[str, list[Change]]:
    """The changes of state by module, as the tables name it."""
    found: dict[str, list[Change]] = {}
    for path in sorted([*ROOM.rglob("*.py"), *ROOM.rglob("*.sql")]):
        module = str(path.relative_to(ROOM).with_suffix(""))
        found.setdefault(module, []).extend(change for text in texts(path) for change in changes(text))
    return {module: changed for module, changed in found.items() if changed}


FOUND = of_ledger()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE images SET flags = '{}', state = 'dead' WHERE state = 'received'", ["dead"]),
        ("UPDATE studies SET state = CASE a WHEN 'b' THEN 'waiting' ELSE 'queued' END FROM n", ["queued", "waiting"]),
        ("UPDATE images SET state = 'cancelled', reason_code = 'replaced' FROM n WHERE x", [REPLACED]),
        ("UPDATE studies SET state = :state, reason_code = :reason WHERE id = :id", []),
        ("WITH a AS (UPDATE studies SET f = ARRAY(SELECT x FROM y), state = 'received'), b AS (SELECT)", ["received"]),
        ("INSERT INTO images (id, study_id, state) SELECT image_id, study_id, 'received' FROM n", ["received"]),
    ],
)  # fmt: skip
def test_a_change_of_state_is_found_in_a_statement(sql: str, expected: list[str]) -> None:
    assert [sorted(change.targets) for change in changes(sql)] == [expected]


def test_the_states_a_statement_asks_for_are_found() -> None:
    sql = "UPDATE images SET state = 'dead' FROM o WHERE o.state = 'a' AND images.state IN ('b', 'c') AND (state = 'd')"
    (change,) = changes(sql)
    assert change.guards == {"b", "c"}


def test_a_statement_that_only_looks_at_a_state_changes_none() -> None:
    assert not list(changes("UPDATE studies SET view = :view WHERE id = :id AND state = 'received'"))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE studies\n    SET state = 'dead'",
        "UPDATE studies AS s SET state = 'dead'",
        "UPDATE ONLY images SET state = 'dead'",
        "update images set state = 'dead'",
        "UPDATE images SET state='dead'",
        "UPDATE images SET (state, reason_code) = ('dead', NULL)",
        "UPDATE images SET view = NULL, (state, reason_code) = ('dead', NULL)",
        "UPDATE {table} SET state = 'dead'",
        "UPDATE inserted SET state = 'dead'",
        "UPDATE studies SET {changes}",
        "INSERT INTO studies (id, state) VALUES (:id, 'received') ON CONFLICT (id) DO UPDATE SET state = 'dead'",
        "INSERT INTO studies VALUES (:id, 'received')",
        "MERGE INTO studies USING n ON true WHEN MATCHED THEN UPDATE SET state = 'dead'",
    ],
)
def test_a_statement_that_could_be_overlooked_is_found(sql: str) -> None:
    assert unreadable(sql)


def sources() -> list[Path]:
    """Every file of Python or SQL in the packages."""
    return sorted(file for package in OTHERS for end in ("py", "sql") for file in (ROOT / package).rglob(f"*.{end}"))


def test_every_statement_on_images_and_studies_is_written_so_that_it_is_found() -> None:
    assert {
        str(file): bad for file in sources() if (bad := [one for text in texts(file) for one in unreadable(text)])
    } == {}


def test_no_state_is_changed_outside_the_ledger() -> None:
    outside = [file for file in sources() if ROOM not in file.parents]
    assert len(outside) > 200
    assert [file for file in outside if any(list(changes(text)) for text in texts(file))] == []


@pytest.mark.parametrize("module", FOUND)
def test_each_change_of_state_that_a_module_makes_is_in_the_table(module: str) -> None:
    for change in FOUND[module]:
        rows = [row for row in TABLES[change.table] if row.module == module and (NEW in row.before) == change.inserts]
        assert rows, f"{module} changes the state of {change.table}, and lifecycle.py does not name it"
        assert change.targets <= {after for row in rows for after in row.after}, change
        meant = [row for row in rows if not change.targets or change.targets & set(row.after)]
        assert change.guards <= {before for row in meant for before in row.before}, change


@pytest.mark.parametrize(
    ("table", "row"), [(table, row) for table, rows in TABLES.items() for row in rows], ids=lambda one: str(one)[:60]
)
def test_each_row_of_the_tables_is_made_by_a_statement_of_its_module(table: str, row: Transition) -> None:
    made = [one for one in FOUND.get(row.module, []) if one.table == table and one.inserts == (NEW in row.before)]
    assert any(not change.targets or set(row.after) & change.targets for change in made)


def test_the_tables_know_the_stored_states_and_every_state_can_be_reached() -> None:
    never_stored = {StudyState.INGESTING, StudyState.RUNNING}
    for rows, states in ((IMAGE_TRANSITIONS, set(ImageState)), (STUDY_TRANSITIONS, set(StudyState) - never_stored)):
        assert {after for row in rows for after in row.after} == states | {REPLACED}
        assert {before for row in rows for before in row.before} == states | {REPLACED, NEW}
