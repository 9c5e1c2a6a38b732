"""MAIRA-2's own tokenizer and chat template, where its folder has them, beside what is made of the other files here.

Its program (``processing_maira2.py``) writes a prompt with the tokenizer's chat template and tokenises it with
``tokenizer.json``. Those files are the truth: another chat template is refused, another tokenizer is used. Libra's and
LLaVA-Rad's programs read neither; a prompt template without a marker is theirs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import DAMAGE
from xraygpt_core.model.importing.tensors import read_json
from xraygpt_core.model.importing.tokenizer import made_tokenizer, published_tokenizer
from xraygpt_core.model.prompt import Prompt, render, template_named, tokenise
from xraygpt_core.model.templates import MAIRA_2
from xraygpt_core.states import ImageRole

_MODEL, _JSON, _CONFIG = "tokenizer.model", "tokenizer.json", "tokenizer_config.json"
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", _CONFIG)  # the first that has one
_SHOWN = 60  # letters of a difference
_FRONTAL, _LATERAL, _PRIOR = ImageRole
_SETS = ((_FRONTAL,), (_FRONTAL, _LATERAL), (_FRONTAL, _PRIOR), (_FRONTAL, _LATERAL, _PRIOR))
_WORDS = (
    UNKNOWN,
    Clinical("Dyspnea, r/o pneumonia; s/p CABG (2019).", "PA and lateral views.", "None.", "Clear lungs. No effusion."),
    Clinical("___ year old man\twith fever 38.5 °C", prior_report="FINDINGS: Große Herzsilhouette, naïve 肺."),
)
_SAID = (("Small left effusion.", "Is the heart large?"), ("No (CTR 0.45).", "And the left lung?"))


def check_chat_template(folder: Path, name: str) -> None:
    """Does the folder's chat template, if it has one, write what the prompt template of this name writes?

    Raises:
        BundleError: it does not, and where the first difference is; or it cannot be read.
    """
    marker = template_named(name).marker
    if not marker or (chat := _chat_template(folder)) is None:
        return
    for case in _cases(name):
        ours = marker.join(segment.text for segment in case.prompt.segments)
        theirs = _written(chat, folder, _messages(case))
        if ours != theirs:
            at = max(_same(ours, theirs) - 10, 0)
            raise BundleError(
                f"the chat template of {folder.name} writes {theirs[at : at + _SHOWN]!r} where the prompt template "
                f"{name!r} writes {ours[at : at + _SHOWN]!r}: it is another version of the model; --template {name} "
                "imports it all the same"
            )


def prefer_published_tokenizer(source: Path, folder: Path, name: str) -> None:
    """Leave only ``tokenizer.json`` in ``folder`` where it gives other ids than the tokenizer that is made without it.

    Args:
        source: the folder as it was downloaded; ``folder`` has a copy of its tokenizer's files.

    Raises:
        BundleError: a tokenizer is damaged.
    """
    if not template_named(name).marker or not all((source / file).exists() for file in (_MODEL, _JSON)):
        return
    made, published = _Raw(made_tokenizer(source)), _Raw(published_tokenizer(source))
    if any(tokenise(case.prompt, made) != tokenise(case.prompt, published) for case in _cases(name)):
        (folder / _MODEL).unlink()


@dataclass
class _Raw:
    """A ``tokenizers.Tokenizer`` as prompts are tokenised with it."""

    tokenizer: Any
    bos_token_id: int | None = None  # both get the same one

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def get_added_vocab(self) -> dict[str, int]:
        return {token.content: number for number, token in self.tokenizer.get_added_tokens_decoder().items()}


@dataclass(frozen=True)
class _Case:
    """A conversation: its first turn, what was said since, and the whole of it."""

    opening: Prompt
    said: tuple[str, ...]  # answer, question, answer, question …
    prompt: Prompt


def _cases(name: str) -> Iterator[_Case]:
    """Every set of films, with and without words of a hospital, in the first, second and third turn."""
    template = template_named(name)
    for images, clinical, length in product(_SETS, _WORDS, range(len(_SAID) + 1)):
        said = _SAID[:length]
        asked = [template.question, *(question for _, question in said)]
        turns = list(zip(asked, (answer for answer, _ in said), strict=False))
        prompt = render(template, asked[-1], turns, images, clinical)
        yield _Case(render(template, asked[0], (), images, clinical), tuple(chain.from_iterable(said)), prompt)


def _chat_template(folder: Path) -> str | None:
    for file in _TEMPLATE_FILES:
        if not (folder / file).exists():
            continue
        if file.endswith(".jinja"):
            return (folder / file).read_text()
        found = read_json(folder / file).get("chat_template")
        if isinstance(found, list):  # several with names
            named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, Mapping)}
            found = named.get("default")
        if isinstance(found, str):
            return found
    return None


def _messages(case: _Case) -> list[dict[str, Any]]:
    """The conversation as the processor hands it to its chat template: parts of text and of images."""
    first, *others = (segment.text for segment in case.opening.segments)
    parts = [_text(first.removeprefix(MAIRA_2))]
    for number, text in enumerate(others):
        parts += [{"type": "image", "index": number, "text": None}, _text(text.removesuffix("  ASSISTANT: "))]
    since = [
        {"role": ("assistant", "user")[number % 2], "content": [_text(text)]} for number, text in enumerate(case.said)
    ]
    return [{"role": "user", "content": parts}, *since]


def _same(one: str, other: str) -> int:
    """How many letters are the same from the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "index": None, "text": text}


def _written(chat: str, folder: Path, messages: list[dict[str, Any]]) -> str:
    """What the chat template writes, in the sandbox that transformers renders them in."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    try:
        rendered = render_jinja_template([messages], chat_template=chat, add_generation_prompt=True, **special)
    except (TemplateError, *DAMAGE) as error:
        raise BundleError(
            f"the chat template of {folder.name} cannot be read: {' '.join(str(error).split())}"
        ) from error
    return str(rendered[0][0] if isinstance(rendered, tuple) else rendered[0])
