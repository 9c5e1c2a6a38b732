"""A conversation without an image, as a language model is tuned on it: the words around questions and answers.

They are those of the prompt template of the same name, without the image; FastChat's are byte for byte those that it
trains with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xraygpt_core.errors import BundleError
from xraygpt_core.model.control_words import Span
from xraygpt_core.model.prompt import in_turn, template_named
from xraygpt_core.model.templates import MAIRA_2, TEMPORAL


@dataclass(frozen=True)
class Layout:
    """What stands around the turns: ``opening Q announces A ends [between Q announces A ends]…``.

    Attributes:
        announces: from a question to its answer, without the space that the answer begins with.
        ends: what ends an answer; it is trained with it, or the model would never stop.
        between: from the end of an answer to the next question.
    """

    opening: str
    announces: str
    ends: str
    between: str


@dataclass(frozen=True)
class Dialogue:
    """A conversation as one text.

    Attributes:
        given: where questions and answers stand, in ascending order: control words count as text there.
        said: where answers stand, each from the space before it to the end of what ends it: what is learned.
    """

    text: str
    given: tuple[Span, ...]
    said: tuple[Span, ...]


_V0 = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_V1 = _V0.replace("human", "user")
_VICUNA = Layout(f"{_V1} USER: ", " ASSISTANT:", "</s>", "USER: ")

_LAYOUTS = {
    # XrayGPT was never tuned on text in this layout; it is the one its image prompts have
    "xraygpt-code": Layout("###Patient: ", " ###Doctor:", " ###", "Patient: "),
    # without its system text, which speaks of a scan
    "xraygpt-demo": Layout("###Patient: ", "###Doctor:", "###", "Patient: "),
    "xraygpt-paper": Layout(
        "You are a helpful healthcare virtual assistant. ###Doctor: ", " ###Assistant:", " ###", "Doctor: "
    ),
    # FastChat 0.1.10, train/train.py: a blank line after the system text, a line a turn. Its text ends with a line
    # break; ours with the ### of a next turn, which is what ends an answer that is served: a dialogue of one turn
    # would never teach it.
    "vicuna-v0": Layout(f"{_V0}\n\n### Human: ", "\n### Assistant:", "\n###", " Human: "),
    # FastChat from 0.2, conversation.py: ADD_COLON_TWO with a space and the end token
    "vicuna-v1.1": _VICUNA,
    "maira-1": _VICUNA,
    "llava-rad": _VICUNA,
    # these were never tuned on text without an image; the words are those of their image prompts
    "maira-2": Layout(MAIRA_2, "  ASSISTANT:", "</s>", "  USER:  "),
    "libra": Layout(f"{TEMPORAL} USER: ", " ASSISTANT:", "</s>", "USER: "),
}


def layout_named(name: str) -> Layout:
    """The layout of a prompt template's conversations without an image.

    Raises:
        BundleError: there is no template of this name, or it has no such conversations.
    """
    template_named(name)
    if name not in _LAYOUTS:
        raise BundleError(f"prompt template {name!r} has no layout for conversations without an image")
    return _LAYOUTS[name]


def speak(name: str, turns: Sequence[tuple[str, str]]) -> Dialogue:
    """One text of (question, answer) turns in the layout of a prompt template.

    Each is stripped, and what ends a turn is broken up in it.
    """
    layout, template = layout_named(name), template_named(name)
    text, given, said = "", [], []
    for number, (question, answer) in enumerate(turns):
        text += layout.between if number else layout.opening
        asked = in_turn(template, question)
        given.append((len(text), len(text) + len(asked)))
        text += asked + layout.announces
        start, answered = len(text), in_turn(template, answer)
        given.append((start + 1, start + 1 + len(answered)))
        text += f" {answered}{layout.ends}"
        said.append((start, len(text)))
    return Dialogue(text, tuple(given), tuple(said))
