"""Prompt templates: what stands before and after the image tokens, and how it becomes token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.control_words import Span, Tokenizer, encode_with_given

IMAGE = "[image tokens]"  # stands for the image where a prompt is shown


@dataclass(frozen=True)
class Template:
    """The words around image, question and answer.

    Attributes:
        before: everything up to the image.
        first: from the image to the first answer, with ``{question}``.
        later: from an answer to the next one, with ``{answer}`` and ``{question}``.
        speaker: what announces an answer; if the model repeats it, only the text after it is kept.
        stop: text sequences that end an answer, beside the LLM's own end token.
    """

    name: str
    before: str
    first: str
    later: str
    speaker: str
    stop: tuple[str, ...]


@dataclass(frozen=True)
class Prompt:
    """The two text segments around the image tokens.

    Attributes:
        given: where in ``after`` questions and answers stand, in ascending order: control words count as text there.
    """

    before: str
    after: str
    given: tuple[Span, ...] = ()

    @property
    def shown(self) -> str:
        """One line, with a placeholder where the image tokens stand."""
        return self.before + IMAGE + self.after


_VICUNA = "A chat between a curious {asker} and an artificial intelligence assistant. "
_POLITE = "The assistant gives helpful, detailed, and polite answers to the {asker}'s questions."
_V0 = (_VICUNA + _POLITE).format(asker="human")
_V1 = (_VICUNA + _POLITE).format(asker="user")
_HASHES = ("###",)

_ALL = (
    # the released code's training and evaluation prompt (its YAML: '###Patient: {} ###Doctor: ')
    Template(
        "xraygpt-code",
        "###Patient: <Img>",
        "</Img> {question} ###Doctor:",
        " {answer} ###Patient: {question} ###Doctor:",
        "Doctor:",
        _HASHES,
    ),
    # the released demo, which puts a system text before it and no spaces around ### (conversation.py, CONV_VISION)
    Template(
        "xraygpt-demo",
        "You are an experienced Doctor, give the following medical scan: <Img>ImageContent</Img>. You will be able to "
        "see the medical scan once I provide it to you. Please answer my questions.###Patient: <Img>",
        "</Img> {question}###Doctor:",
        " {answer}###Patient: {question}###Doctor:",
        "Doctor:",
        _HASHES,
    ),
    # as printed in the paper, sections 3.1 and 3.2
    Template(
        "xraygpt-paper",
        "You are a helpful healthcare virtual assistant. ###Doctor: <Img>",
        "</Img> {question} ###Assistant:",
        " {answer} ###Doctor: {question} ###Assistant:",
        "Assistant:",
        _HASHES,
    ),
    # FastChat 0.1.10, the version XrayGPT pins, with the image as MiniGPT-4 marks it
    Template(
        "vicuna-v0",
        f"{_V0}### Human: <Img>",
        "</Img> {question}### Assistant:",
        " {answer}### Human: {question}### Assistant:",
        "Assistant:",
        _HASHES,
    ),
    # FastChat from 0.2: two separators, a space and the end token
    Template(
        "vicuna-v1.1",
        f"{_V1} USER: <Img>",
        "</Img> {question} ASSISTANT:",
        " {answer}</s>USER: {question} ASSISTANT:",
        "ASSISTANT:",
        ("</s>",),
    ),
    # LLaVA's layout for Vicuna v1.5, which MAIRA-1 takes over: image and question on lines of their own
    Template(
        "maira-1",
        f"{_V1} USER: ",
        "\n{question} ASSISTANT:",
        " {answer}</s>USER: {question} ASSISTANT:",
        "ASSISTANT:",
        ("</s>",),
    ),
)
_TEMPLATES = {template.name: template for template in _ALL}

# XrayGPT's prompt file has fifteen lines on these themes; the wording here is ours. The first is the usual one.
QUESTIONS = (
    "Describe the given chest x-ray image in detail.",
    "Give a full account of what this chest x-ray shows.",
    "Take a look at this chest x-ray and describe the findings you see.",
    "Walk me through this chest radiograph from top to bottom.",
    "What are the key findings on this chest x-ray?",
    "Is anything abnormal or worrying on this radiograph?",
    "Which features of the lungs and the heart can be seen here?",
    "What stands out most on this film, and what does it mean for the patient's health?",
    "What are the findings, and what is the overall impression?",
    "Sum up the findings of this x-ray and your impression.",
    "How large is the heart, and is its outline normal?",
    "Is this film normal or abnormal, and on what do you base your impression?",
    "Are there signs of infection or inflammation, and what could have caused them?",
    "Are the lymph nodes of the hila and the mediastinum enlarged?",
    "Does this x-ray point to a complication or a risk, or is it normal?",
)


def template_named(name: str) -> Template:
    """A prompt template.

    Raises:
        BundleError: there is none of this name.
    """
    if name not in _TEMPLATES:
        raise BundleError(f"there is no prompt template {name!r}; there are {', '.join(sorted(_TEMPLATES))}")
    return _TEMPLATES[name]


def render(template: Template, question: str, turns: Sequence[tuple[str, str]] = ()) -> Prompt:
    """The template around a question; earlier (question, answer) turns come first, the image before all of them.

    What ends a turn is broken up inside questions and answers, so that neither can begin a turn of its own.
    """
    questions = [in_turn(template, asked) for asked in (*(asked for asked, _ in turns), question)]
    forms = [(template.first, {"question": questions[0]})]
    for (_, answer), following in zip(turns, questions[1:], strict=True):
        forms.append((template.later, {"answer": in_turn(template, answer), "question": following}))
    after, given = "", []
    for form, words in forms:
        for ours, name, _, _ in Formatter().parse(form):
            after += ours
            if name is not None:
                given.append((len(after), len(after) + len(words[name])))
                after += words[name]
    return Prompt(template.before, after, tuple(given))


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


def tokenise(prompt: Prompt, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Each segment is tokenised alone, as the reference code does; the first begins with BOS where there is one.

    Raises:
        InvalidRequest: a question or answer would become a control token of the model.
    """
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return (
        bos + tokenizer.encode(prompt.before, add_special_tokens=False),
        encode_with_given(tokenizer, prompt.after, prompt.given),
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
