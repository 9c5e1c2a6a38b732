"""Prompt templates: what stands before and after the image tokens, and how it becomes token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xraygpt_core.errors import BundleError, InvalidRequest

IMAGE = "[image tokens]"  # stands for the image where a prompt is shown


@dataclass(frozen=True)
class Template:
    """The words around question and answer; both sides are written without trailing space."""

    name: str
    system: str
    asker: str
    answerer: str


@dataclass(frozen=True)
class Prompt:
    """The two text segments around the image tokens."""

    before: str
    after: str

    @property
    def shown(self) -> str:
        """One line, with a placeholder where the image tokens stand."""
        return self.before + IMAGE + self.after


class Tokenizer(Protocol):
    """What we use of a Hugging Face tokenizer."""

    bos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


_TEMPLATES = {
    # the released code's training prompt (its YAML: '###Patient: {} ###Doctor: ')
    "xraygpt-code": Template("xraygpt-code", "", "###Patient:", "###Doctor:"),
    # as printed in the paper, sections 3.1 and 3.2
    "xraygpt-paper": Template(
        "xraygpt-paper", "You are a helpful healthcare virtual assistant. ", "###Doctor:", "###Assistant:"
    ),
}


def template_named(name: str) -> Template:
    """A prompt template.

    Raises:
        BundleError: there is none of this name.
    """
    if name not in _TEMPLATES:
        raise BundleError(f"there is no prompt template {name!r}; there are {', '.join(sorted(_TEMPLATES))}")
    return _TEMPLATES[name]


def render(template: Template, question: str, turns: Sequence[tuple[str, str]] = ()) -> Prompt:
    """``###Patient: <Img>[image tokens]</Img> {question} ###Doctor:``; earlier (question, answer) turns come first."""
    asked = [*turns, (question, "")]
    parts = [f" {q.strip()} {template.answerer} {a.strip()}".rstrip() for q, a in asked]
    after = f"</Img>{parts[0]}"
    for part in parts[1:]:
        after += f" {template.asker}{part}"
    return Prompt(f"{template.system}{template.asker} <Img>", after)


def tokenise(prompt: Prompt, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Each segment is tokenised alone, as in training; the first begins with BOS where the tokenizer has one."""
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return (
        bos + tokenizer.encode(prompt.before, add_special_tokens=False),
        tokenizer.encode(prompt.after, add_special_tokens=False),
    )


def fit_turns(
    template: Template,
    question: str,
    turns: Sequence[tuple[str, str]],
    tokenizer: Tokenizer,
    room: int,
) -> Prompt:
    """The prompt with as many of the latest turns as fit into ``room`` text tokens. The image is never cut away.

    Raises:
        InvalidRequest: the question alone does not fit.
    """
    for first in range(len(turns) + 1):
        prompt = render(template, question, turns[first:])
        if sum(map(len, tokenise(prompt, tokenizer))) <= room:
            return prompt
    raise InvalidRequest(f"the question does not fit into {room} tokens")
