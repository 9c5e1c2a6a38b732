"""Prompt templates: the words around images, questions and answers, as each model was trained on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xraygpt_core.errors import BundleError
from xraygpt_core.states import ImageRole

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

Roles = frozenset[ImageRole]


@dataclass(frozen=True)
class Template:
    """The words around images, question and answer.

    What was known when the film was asked for (:class:`xraygpt_core.clinical_text.Clinical`) has fields of its own:
    ``{indication}``, ``{technique}``, ``{comparison}`` and ``{prior_report}``, ``N/A`` where it is not known.

    Attributes:
        before: everything up to the image, where the frontal film is the only one.
        first: from the last image to the first answer, with ``{question}``.
        later: from an answer to the next one, with ``{answer}`` and ``{question}``.
        speaker: what announces an answer; if the model repeats it, only the text after it is kept.
        awaited: what stands for ``{speaker}`` in ``first`` and ``later`` where the answer is still to be written.
        stop: text sequences that end an answer, beside the LLM's own end token.
        question: what the model was trained to be asked.
        grounded: likewise, where it is to say in boxes where its findings are; empty: it cannot.
        openings: everything up to the end of the last image for other sets of images, with a field for each of them.
        informed: the first question where everything that this names is known; ``{stem}`` is the question without its
            full stop, ``{context}`` whatever is known of indication, comparison and technique.
        marker: the control word that stands for an image while the text is tokenised in one piece, if the tokenizer
            has it. Without one, what stands between two images is tokenised alone.
    """

    name: str
    before: str
    first: str
    later: str
    speaker: str
    stop: tuple[str, ...]
    question: str = QUESTIONS[0]
    grounded: str = ""
    openings: Mapping[Roles, str] = field(default_factory=dict, hash=False)
    informed: str = "{question}"
    marker: str = ""
    awaited: str = ""


_VICUNA = "A chat between a curious {asker} and an artificial intelligence assistant. "
_POLITE = "The assistant gives helpful, detailed, and polite answers to the {asker}'s questions."
_V0 = (_VICUNA + _POLITE).format(asker="human")
_V1 = (_VICUNA + _POLITE).format(asker="user")
_HASHES, _END = ("###",), ("</s>",)

_XRAYGPT = (
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
        _END,
    ),
)

# LLaVA's layout for Vicuna v1.5: image and question on lines of their own. MAIRA-1 takes it over.
_LLAVA = "\n{question} ASSISTANT:"
_LLAVA_LATER = " {answer}</s>USER: {question} ASSISTANT:"

# MAIRA-2's processor (processing_maira2.py) and the chat template beside it, which puts two spaces around a speaker.
MAIRA_2 = "You are an expert radiology assistant tasked with interpreting a chest X-ray study.  USER:  "
_FINDINGS = "Provide a description of the findings in the radiology study in comparison to the prior frontal image."
_GROUNDED = (
    f"{_FINDINGS} Each finding should be described as a self-contained plain-text sentence. If the finding is "
    "groundable, locate the finding in the current frontal chest X-ray image, with bounding boxes indicating all "
    "locations where it can be seen in the current frontal image. Otherwise, generate just the ungrounded finding "
    "without bounding boxes."
)
_CURRENT, _PRIOR = "Given the current frontal image{frontal}", " and the prior frontal image{prior}"
_REPORT = " PRIOR_REPORT: {prior_report}"

# Libra, conversation.py at 1a4edaf, the last commit before the 3B was published: libra_v1 for its 7B, and libra_llama_3
# for its 3B, which is stripped at its end. There the answer to come has the role word in capitals, past ones do not.
TEMPORAL = (
    "The assistant specialized in comparing Chest X-ray images, identifying differences, and noting temporal changes."
)
_SEES = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    f"provides, and assist the user with a variety of tasks using natural language.{TEMPORAL}"
)
_USER, _ASSISTANT, _AWAITED = (
    f"<|start_header_id|>{who}<|end_header_id|>" for who in ("user", "assistant", "ASSISTANT")
)
_LIBRA_QUESTION = "Provide a detailed description of the findings in the radiology image."
_LIBRA_INFORMED = "{question} Following clinical context: {context}"

_OTHERS = (
    Template("maira-1", f"{_V1} USER: ", _LLAVA, _LLAVA_LATER, "ASSISTANT:", _END),
    Template(
        "maira-2",
        f"{MAIRA_2}Given the current frontal image only",
        " {question} INDICATION: {indication} TECHNIQUE: {technique} COMPARISON: {comparison}  ASSISTANT: ",
        "{answer}</s>  USER:  {question}  ASSISTANT: ",
        "ASSISTANT:",
        _END,
        question=_FINDINGS,
        grounded=_GROUNDED,
        openings={
            frozenset({ImageRole.FRONTAL, ImageRole.LATERAL}): (
                f"{MAIRA_2}{_CURRENT} and the current lateral image{{lateral}}"
            ),
            frozenset({ImageRole.FRONTAL, ImageRole.PRIOR}): f"{MAIRA_2}{_CURRENT}{_PRIOR}{_REPORT}",
            frozenset(ImageRole): f"{MAIRA_2}{_CURRENT} the current lateral image{{lateral}}{_PRIOR}{_REPORT}",
        },
        marker="<image>",
    ),
    # LLaVA-Rad asks what LLaVA does, in the mode v1 of its conversation.py (llava/utils.py, scripts/eval.sh)
    Template(
        "llava-rad",
        f"{_V1} USER: ",
        _LLAVA,
        _LLAVA_LATER,
        "ASSISTANT:",
        _END,
        question="Provide a description of the findings in the radiology image.",
        informed="{stem} given the following indication: {indication}",
    ),
    Template(
        "libra",
        f"{TEMPORAL} USER: ",
        _LLAVA,
        _LLAVA_LATER,
        "ASSISTANT:",
        _END,
        question=_LIBRA_QUESTION,
        informed=_LIBRA_INFORMED,
    ),
    Template(
        "libra-llama-3",
        f"<|start_header_id|>system<|end_header_id|>\n\n{_SEES}<|eot_id|>{_USER}\n\n",
        "\n{question}<|eot_id|>\n{speaker}",
        f"\n\n{{answer}}<|eot_id|>\n{_USER}\n\n{{question}}<|eot_id|>\n{{speaker}}",
        _ASSISTANT,
        ("<|eot_id|>",),
        question=_LIBRA_QUESTION,
        informed=_LIBRA_INFORMED,
        awaited=_AWAITED,
    ),
)
_TEMPLATES = {template.name: template for template in (*_XRAYGPT, *_OTHERS)}


def reads_clinical(name: str) -> bool:
    """Has the template of this name, if there is one, a place for the hospital's words?"""
    template = _TEMPLATES.get(name)
    return template is not None and ("{indication}" in template.first or template.informed != "{question}")


def template_named(name: str) -> Template:
    """A prompt template.

    Raises:
        BundleError: there is none of this name.
    """
    if name not in _TEMPLATES:
        raise BundleError(f"there is no prompt template {name!r}; there are {', '.join(sorted(_TEMPLATES))}")
    return _TEMPLATES[name]
