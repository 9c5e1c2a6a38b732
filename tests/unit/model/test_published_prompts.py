"""MAIRA-2's own tokenizer and chat template, where its folder has them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.published_layouts import write_maira2
from tests.support.whole_models import imported
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.published_prompts import check_chat_template, prefer_published_tokenizer
from xraygpt_core.model.importing.release import choose, look
from xraygpt_core.model.importing.tokenizer import convert_tokenizer, copy_tokenizer, made_tokenizer
from xraygpt_core.model.llm import load_llm

# As it is described: the system text, then two spaces on each side of a speaker; an image is its control word.
CHAT = (
    "{% for message in messages %}{% if loop.first %}You are an expert radiology assistant tasked with interpreting a "
    "chest X-ray study.{% endif %}{% if message['role'] == 'user' %}  USER:  {% else %}  ASSISTANT: {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}  ASSISTANT: {% endif %}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``maira-2`` without ``tokenizer.json``; its tokenizer puts no space behind control tokens."""
    made = write_maira2(tmp_path / "downloads")
    change(made, legacy=False)
    return made


def change(folder: Path, **changed: Any) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def publish(folder: Path, *, legacy: bool) -> None:
    """Add the ``tokenizer.json`` that a fast tokenizer would save, and leave the other files as they are."""
    config = (folder / "tokenizer_config.json").read_text()
    change(folder, legacy=legacy)
    made_tokenizer(folder).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(config)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "chat_template.json", "chat_template.jinja"])
def test_a_chat_template_that_writes_our_prompts_is_accepted_wherever_it_stands(folder: Path, file: str) -> None:
    write_chat(folder, file, CHAT)
    check_chat_template(folder, "maira-2")


@pytest.mark.parametrize("file", ["tokenizer_config.json", "chat_template.json", "chat_template.jinja"])
def test_a_chat_template_that_writes_otherwise_is_refused_with_both_texts(folder: Path, file: str) -> None:
    write_chat(folder, file, CHAT.replace("  USER:  ", " USER: "))
    with pytest.raises(BundleError, match=r"of maira-2 writes 'ay study\. USER: Given .*' where .* 'ay study\.  USER:"):
        choose(look(folder), {})
    assert choose(look(folder), {}, "maira-2").template == "maira-2"


def write_chat(folder: Path, file: str, chat: str) -> None:
    if file == "tokenizer_config.json":
        change(folder, chat_template=[{"name": "default", "template": chat}])
    else:
        (folder / file).write_text(chat if file.endswith("jinja") else json.dumps({"chat_template": chat}))


@pytest.mark.parametrize(
    "wrong",
    [
        CHAT.replace("{{ eos_token }}", ""),  # only from the second turn on
        "<s>" + CHAT,  # the processor would write it twice
        CHAT.removesuffix("{% if add_generation_prompt %}  ASSISTANT: {% endif %}"),
    ],
)
def test_each_difference_of_a_chat_template_is_found(folder: Path, wrong: str) -> None:
    write_chat(folder, "chat_template.jinja", wrong)
    with pytest.raises(BundleError, match="where the prompt template 'maira-2' writes"):
        check_chat_template(folder, "maira-2")


@pytest.mark.parametrize("wrong", ["{% for", "{{ messages[0].missing.name }}", "{{ ''.__class__.__mro__ }}"])
def test_a_chat_template_that_cannot_be_rendered_is_refused(folder: Path, wrong: str) -> None:
    write_chat(folder, "chat_template.jinja", wrong)
    with pytest.raises(BundleError, match="the chat template of maira-2"):
        check_chat_template(folder, "maira-2")


@pytest.mark.parametrize("legacy", [True, False])
def test_the_published_tokenizer_is_used_where_it_gives_other_ids(folder: Path, tmp_path: Path, legacy: bool) -> None:
    publish(folder, legacy=legacy)
    work = tmp_path / "work"
    work.mkdir()
    copy_tokenizer((folder,), work)
    prefer_published_tokenizer(folder, work, "maira-2")
    made = tmp_path / "made"
    made.mkdir()
    found, _ = convert_tokenizer(work, made)
    assert found.startswith("tokenizer.json" if legacy else "SentencePiece tokenizer.model")


def test_an_imported_maira_2_tokenises_as_its_published_file(folder: Path, tmp_path: Path) -> None:
    publish(folder, legacy=True)
    bundle, _ = imported(folder, tmp_path / "models")
    tokenizer = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32).tokenizer
    change(folder, legacy=True)
    published = made_tokenizer(folder)
    text = "Given the current frontal image only<image> Q INDICATION: N/A  ASSISTANT: Clear.</s>  USER:  Q"
    assert tokenizer.encode(text, add_special_tokens=False) == published.encode(text, add_special_tokens=False).ids
