"""What a branch of a hub is at one time: one commit for all files, kept, said, and fetched again."""

import json
from pathlib import Path

import pytest

from tests.support.hub_server import git_hash, sha256
from tests.unit.model.catalogue.conftest import Fetching
from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.entries import read_catalogue
from xraygpt_core.model.importing.source import read_source

FIRST, SECOND = "d" * 40, "e" * 40
MODEL = "tokenizer.model"


def vicuna(fetching: Fetching) -> dict[str, object]:
    source = read_source(fetching.folder)
    assert source is not None
    (found,) = [one for one in source["repositories"] if one["repo"] == "them/vicuna"]
    return dict(found)


def test_every_file_of_a_branch_is_asked_for_at_the_commit_that_it_is(fetching: Fetching) -> None:
    fetching.run()
    paths = {one.path for one in fetching.hub.asked if one.path.startswith("/them/vicuna/resolve/")}
    assert paths
    assert all(path.startswith(f"/them/vicuna/resolve/{FIRST}/") for path in paths)


def test_the_commit_is_said_whole_and_noted_with_the_hash_of_every_file(fetching: Fetching) -> None:
    fetching.run()
    files = fetching.hub.repos["them/vicuna"].files
    assert any(line.startswith(f"them/vicuna at {FIRST}: ") for line in fetching.said)
    found = vicuna(fetching)
    assert found["commit"] == FIRST
    assert found["files"] == {
        name: git_hash(blob) if name.endswith(".json") else sha256(blob) for name, blob in files.items()
    }


def test_a_fetch_that_goes_on_later_stays_at_its_commit(fetching: Fetching) -> None:
    repo = fetching.hub.repos["them/vicuna"]
    first = repo.files[MODEL]
    fetching.hub.cut = [0] * 6
    with pytest.raises(BundleError):
        fetching.run()
    fetching.hub.cut = []
    repo.moves_on(SECOND, **{MODEL: b"another"})
    fetching.run()
    assert (fetching.folder / "vicuna" / MODEL).read_bytes() == first
    assert vicuna(fetching)["commit"] == FIRST


def test_a_commit_that_is_named_is_fetched_again_after_the_branch_moved(fetching: Fetching, tmp_path: Path) -> None:
    repo = fetching.hub.repos["them/vicuna"]
    first = repo.files[MODEL]
    repo.moves_on(SECOND, **{MODEL: b"another"})
    entry = read_catalogue(fetching.catalogue)["base"].at(FIRST)
    assert [one.revision for one in entry.repositories] == ["c" * 40, FIRST]
    fetching.run_entry(entry)
    assert (fetching.folder / "vicuna" / MODEL).read_bytes() == first


def test_files_of_the_commit_before_do_not_stay_beside_those_of_a_named_one(fetching: Fetching) -> None:
    fetching.hub.repos["them/vicuna"].moves_on(SECOND, **{"more.json": b"{}"})
    fetching.run()
    assert (fetching.folder / "vicuna" / "more.json").is_file()
    fetching.run_entry(read_catalogue(fetching.catalogue)["base"].at(FIRST))
    assert not (fetching.folder / "vicuna" / "more.json").exists()


@pytest.mark.parametrize(("name", "revision"), [("base", "main"), ("base", "d" * 39)])
def test_a_named_revision_is_a_commit(fetching: Fetching, name: str, revision: str) -> None:
    with pytest.raises(BundleError, match="takes a commit of 40 hex digits"):
        read_catalogue(fetching.catalogue)[name].at(revision)


def test_a_model_whose_commits_the_catalogue_names_takes_no_other() -> None:
    with pytest.raises(BundleError, match="maira-2 has 0 such repositories: put the commit into a catalogue"):
        read_catalogue()["maira-2"].at(FIRST)


def test_a_damaged_note_is_said(tmp_path: Path) -> None:
    (tmp_path / ".source.json").write_text(json.dumps({"repositories": [{"repo": "x"}]}))
    with pytest.raises(BundleError, match="is damaged: remove it, and fetch again"):
        read_source(tmp_path)


def test_an_optional_file_is_taken_where_the_repository_has_it(fetching: Fetching) -> None:
    text = fetching.catalogue.read_text()
    known = 'files = { "config.json" = 0, "model.safetensors" = 0 }'
    optional = 'optional = { "preprocessor_config.json" = 560, "chat_template.json" = 611 }'
    fetching.catalogue.write_text(text.replace(known, f"{known}\n{optional}"))
    fetching.run()
    names = {path.name for path in (fetching.folder / "rad-dino").iterdir() if path.is_file()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}


def test_the_own_tokenizer_and_templates_of_maira_2_are_optional() -> None:
    (repository,) = read_catalogue()["maira-2"].repositories
    assert repository.optional == {"tokenizer.json": 3656334, "chat_template.json": 611, "processor_config.json": 0}
