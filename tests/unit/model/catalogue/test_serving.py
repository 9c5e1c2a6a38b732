"""Models on a chat server: the command that starts it, and what its bundle says."""

import shlex
from pathlib import Path

import pytest

from tests.support.pictures import picture
from xraygpt_core.clinical_text import Clinical
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.catalogue.entries import read_catalogue
from xraygpt_core.model.catalogue.serving import URL, make_server_bundle, server_tables, start_command
from xraygpt_core.model.server.conversation import conversation
from xraygpt_core.scope import MadeFor, parse_scope

SERVED = ["medgemma-1.5-4b", "chexone"]


@pytest.mark.parametrize("name", SERVED)
def test_the_server_gets_the_pinned_revision_and_room_for_every_film(name: str) -> None:
    entry = read_catalogue()[name]
    command = shlex.split(start_command(entry, "http://gpu.example:9000/v1"))
    said = dict(zip(command[3::2], command[4::2], strict=True))
    assert command[:3] == ["vllm", "serve", entry.repositories[0].repo]
    assert said == {
        "--revision": entry.repositories[0].revision,
        "--max-model-len": "8192",
        "--limit-mm-per-prompt": '{"image": 3}',
        "--port": "9000",
    }


def test_a_server_for_this_machine_listens_on_this_machine_alone() -> None:
    command = start_command(read_catalogue()["chexone"], URL)
    assert " --host 127.0.0.1 --port 8001" in command


@pytest.mark.parametrize("name", SERVED)
def test_a_server_for_this_machine_listens_on_no_network(name: str) -> None:
    assert "--host 127.0.0.1 --port 8001" in start_command(read_catalogue()[name])


@pytest.mark.parametrize("name", SERVED)
def test_the_bundle_is_greedy_for_research_and_asks_that_model(name: str) -> None:
    entry = read_catalogue()[name]
    tables = server_tables(entry)
    assert (tables["server"]["url"], tables["server"]["model"]) == (URL, entry.repositories[0].repo)
    films, words = ["frontal", "lateral", "prior"], ["indication", "technique", "comparison"]
    assert tables["prompt"] == {"question": entry.question, "images": films, "clinical": words}
    assert tables["decoding"]["do_sample"] is False
    assert parse_scope(tables["scope"]).made_for is MadeFor.RESEARCH
    assert set(tables["server"]) <= {"url", "model", "system", "image_size"}


@pytest.mark.parametrize("name", SERVED)
def test_the_prompt_has_the_words_that_are_known_and_is_the_question_alone_without_any(
    name: str, tmp_path: Path
) -> None:
    bundle = make_server_bundle(tmp_path, name, read_catalogue()[name])
    known = Clinical("Cough.", None, "Film of May.")
    told, plain = (
        conversation(bundle, GenerationRequest(picture(), clinical=words)).messages[-1]["content"]
        for words in (known, Clinical())
    )
    assert plain[-1]["text"] == bundle.question
    assert told[-1]["text"] == f"INDICATION: Cough.\nCOMPARISON: Film of May.\n{bundle.question}"
    assert told[:-1] == plain[:-1]
