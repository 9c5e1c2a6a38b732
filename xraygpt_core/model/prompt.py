"""A prompt: text segments and the images between them, and how the segments become token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.control_words import Span, Tokenizer, encode_with_given
from xraygpt_core.model.templates import QUESTIONS as QUESTIONS
from xraygpt_core.model.templates import Template as Template
from xraygpt_core.model.templates import template_named as template_named
from xraygpt_core.states import ImageRole

IMAGE = "[image tokens]"  # stands for an image where a prompt is shown
FRONTAL = (ImageRole.FRONTAL,)
_NOT_KNOWN = "N/A"
_CONTEXT = ("indication", "comparison", "technique")  # in the order in which a report has them


@dataclass(frozen=True)
class Segment:
    """Text without an image.

    Attributes:
        given: where questions, answers and the hospital's words stand, in ascending order: control words count as text
            there.
        shown: the same text with the name of a field in the place of the hospital's words.
    """

    text: str
    given: tuple[Span, ...] = ()
    shown: str = ""


@dataclass(frozen=True)
class Prompt:
    """Text segments with an image between each and the next.

    Attributes:
        images: one fewer than the segments.
        marker: see :class:`Template`.
        clinical: which of the hospital's words stand in it, by the names of :class:`Clinical`'s fields.
        shortened: which of them do not stand in it as they were given, for want of room.
    """

    segments: tuple[Segment, ...]
    images: tuple[ImageRole, ...] = ()
    marker: str = ""
    clinical: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()

    @property
    def before(self) -> str:
        """The text up to the first image."""
        return self.segments[0].text

    @property
    def after(self) -> str:
        """The text behind the last image."""
        return self.segments[-1].text

    @property
    def shown(self) -> str:
        """One line, with a placeholder where an image stands, and without the hospital's words."""
        return IMAGE.join(segment.shown for segment in self.segments)


def render(
    template: Template,
    question: str,
    turns: Sequence[tuple[str, str]] = (),
    images: Sequence[ImageRole] = FRONTAL,
    clinical: Clinical = UNKNOWN,
) -> Prompt:
    """The template around a question; earlier (question, answer) turns come first, the images before all of them.

    What ends a turn is broken up inside questions, answers and the hospital's words, so that none can begin a turn of
    its own.

    Raises:
        BundleError: the template has no place for these images.
    """
    questions = [in_turn(template, asked) for asked in (*(asked for asked, _ in turns), question)]
    known = _known(template, clinical)
    first = template.first
    if _fields(template.informed) <= {"question", "stem", *known}:
        first = first.replace("{question}", template.informed)
    written = _Writer(known)
    speakers = [template.speaker] * len(turns) + [template.awaited]
    first = first.replace("{speaker}", speakers[0])
    written.add(_opening(template, images) + first, {"question": questions[0], "stem": questions[0].removesuffix(".")})
    for (_, answer), following, speaker in zip(turns, questions[1:], speakers[1:], strict=True):
        later = template.later.replace("{speaker}", speaker)
        written.add(later, {"answer": in_turn(template, answer), "question": following})
    return Prompt(written.segments, tuple(written.images), template.marker, written.clinical)


def _opening(template: Template, images: Sequence[ImageRole]) -> str:
    """Everything up to the end of the last image, as a form with a field for each image."""
    if tuple(images) == FRONTAL:
        return f"{template.before}{{{ImageRole.FRONTAL}}}"
    if (found := template.openings.get(frozenset(images))) is None:
        raise BundleError(f"prompt template {template.name!r} has no place for {' and '.join(images)} images together")
    return found


def _known(template: Template, clinical: Clinical) -> dict[str, str]:
    """The hospital's words, as far as there are any, on one line each."""
    words = {name: in_turn(template, " ".join((text or "").split())) for name, text in vars(clinical).items()}
    context = " ".join(f"{name.capitalize()}: {words[name]}" for name in _CONTEXT if words[name])
    return {name: text for name, text in (words | {"context": context}).items() if text}


def _fields(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name is not None}


class _Writer:
    """Fills forms in, one after the other."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self.images: list[ImageRole] = []
        self._done: list[Segment] = []
        self._text, self._shown = "", ""
        self._given: list[Span] = []
        self._shows: set[str] = set()

    @property
    def clinical(self) -> tuple[str, ...]:
        """The hospital's sections that are written, in their own order."""
        shown = self._shows | set(_CONTEXT if "context" in self._shows else ())
        return tuple(name for name in vars(UNKNOWN) if name in shown and name in self._known)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is written, the last one as far as it is."""
        return (*self._done, Segment(self._text, tuple(self._given), self._shown))

    def add(self, form: str, said: Mapping[str, str]) -> None:
        """A form with words that readers see anyway; its other fields are images and the hospital's words."""
        for ours, name, _, _ in Formatter().parse(form):
            self._text, self._shown = self._text + ours, self._shown + ours
            if name in list(ImageRole):
                self._done, self._text, self._shown, self._given = [*self.segments], "", "", []
                self.images.append(ImageRole(name))
            elif name is not None:
                words = said[name] if name in said else self._known.get(name, _NOT_KNOWN)
                self._shows |= {name} - set(said)
                self._given.append((len(self._text), len(self._text) + len(words)))
                self._text += words
                self._shown += f"[{name}]" if name in self._known else words


def in_turn(template: Template, text: str) -> str:
    """A question or an answer, stripped, with what ends a turn broken up."""
    text = text.strip()
    for stop in template.stop:
        while stop in text:
            text = text.replace(stop, f"{stop[0]} {stop[1:]}")
    return text


def clean_answer(template: Template, text: str) -> str:
    """An answer as the released demo shows it: what follows the last announcement of the speaker, and our own name.

    The data Vicuna was tuned with (ChatDoctor's) signs some answers with that model's name.
    """
    spoken = text.rpartition(template.speaker)[2].strip()
    return spoken.replace("ChatDoctor", "XrayGPT").replace("Chat Doctor", "XrayGPT")


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop sequence, stripped, and whether there was one."""
    starts = [start for word in stop if (start := text.find(word)) >= 0]
    return (text[: min(starts)].strip(), True) if starts else (text.strip(), False)


def tokenise(prompt: Prompt, tokenizer: Tokenizer) -> tuple[list[int], ...]:
    """The ids of each segment. The first begins with BOS where there is one.

    Each is tokenised alone, as LLaVA and XrayGPT do; with a marker that the tokenizer has, all are one text, as
    transformers' processors do it.

    Raises:
        InvalidRequest: given words would become a control token of the model.
    """
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    mark = tokenizer.get_added_vocab().get(prompt.marker) if prompt.marker else None
    if mark is None:
        first, *others = (_encode(tokenizer, one.text, one.given) for one in prompt.segments)
    else:
        first, *others = _split(_encode_whole(prompt, tokenizer), mark)
    return (bos + first, *others)


def _encode_whole(prompt: Prompt, tokenizer: Tokenizer) -> list[int]:
    text, given = "", list[Span]()
    for number, segment in enumerate(prompt.segments):
        text += prompt.marker if number else ""
        given += [(len(text) + start, len(text) + end) for start, end in segment.given]
        text += segment.text
    return _encode(tokenizer, text, given)


def _encode(tokenizer: Tokenizer, text: str, given: Sequence[Span]) -> list[int]:
    if not given:
        return tokenizer.encode(text, add_special_tokens=False)
    return encode_with_given(tokenizer, text, given)


def _split(ids: Sequence[int], mark: int) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for one in ids:
        if one == mark:
            found.append([])
        else:
            found[-1].append(one)
    return found


def fit_turns(
    template: Template,
    question: str,
    turns: Sequence[tuple[str, str]],
    tokenizer: Tokenizer,
    room: int,
    images: Sequence[ImageRole] = FRONTAL,
    clinical: Clinical = UNKNOWN,
) -> Prompt:
    """The prompt with as many of the latest turns as fit into ``room`` text tokens. No image is ever cut away.

    Raises:
        InvalidRequest: the question alone does not fit. BundleError: see :func:`render`.
    """
    for first in range(len(turns) + 1):
        prompt = render(template, question, turns[first:], images, clinical)
        if sum(map(len, tokenise(prompt, tokenizer))) <= room:
            return prompt
    raise InvalidRequest(f"the question does not fit into {room} tokens")
