"""Prompts of MAIRA-2, LLaVA-Rad and Libra as their own programs write and tokenise them, fifty a template.

Writes image_prompts.json. Run once, by hand; it needs nothing but transformers' description of SentencePiece's file:

    .venv/bin/python tests/unit/model/reference/make_image_prompts.py

Each writer follows the program that serves the published weights, word for word, and none of ours:

* LLaVA-Rad: github.com/microsoft/LLaVA-Rad at 1fc4409, mode v1 (scripts/eval.sh).
* Libra: github.com/X-iZhang/Libra at 1a4edaf, the last commit before the 3B was published; modes libra_v1 and
  libra_llama_3 (libra/eval/run_libra.py). From e024d91 on the text of libra_llama_3 begins with <|begin_of_text|>,
  which the tokenizer then writes a second time.
* MAIRA-2: processing_maira2.py of Hugging Face microsoft/maira-2, and the chat template beside it.

The tokenizer is slow_llama.py, in both of LlamaTokenizer's ways (``legacy``). MAIRA-2's processor tokenises one text in
which <image> is a control word; the others cut the text at <image> and tokenise each piece alone
(tokenizer_image_token). A case keeps the SHA-256 of its ids in each way.
"""

import hashlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from slow_llama import SlowLlama, check

HERE = Path(__file__).parent
CASES = 50
WORDS = ["<image>", "<obj>", "</obj>", "<box>", "</box>", "<x12>", "<y34>"]

QUESTIONS = [
    "Is there an effusion?",
    "what about the left lung",
    "Sum it up.\nBriefly.",
    "Größe des Herzens?",
    "{x}",
]
ANSWERS = ["Clear lungs.", "No effusion; heart size normal.", "Small left effusion (2 cm).", "température 38 °C"]
REASONS = [
    "Dyspnea.", "___ year old man with cough, r/o pneumonia", "chest pain", "s/p CABG, tube placement?", "N/A",
    "Fièvre depuis 3 jours", "pre-op", "Fall; rib pain on the left", "{question} and {0}", "Hypoxia 88% on 2L",
]  # fmt: skip
TECHNIQUES = ["PA and lateral views of the chest.", "Portable AP", "Single view."]
COMPARISONS = ["None.", "Chest radiograph of the day before.", "CT"]
REPORTS = ["Clear lungs. Normal heart.", "FINDINGS: Small effusion. IMPRESSION: As above.", "No change"]

HUMAN = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LIBRA = (
    "The assistant specialized in comparing Chest X-ray images, identifying differences, and noting temporal changes."
)
SEES = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language." + LIBRA
)
FINDINGS = "Provide a description of the findings in the radiology study in comparison to the prior frontal image."
GROUNDED = (
    " Each finding should be described as a self-contained plain-text sentence. If the finding is groundable, locate "
    "the finding in the current frontal chest X-ray image, with bounding boxes indicating all locations where it can "
    "be seen in the current frontal image. Otherwise, generate just the ungrounded finding without bounding boxes."
)


def two_separators(system: str, messages: list[tuple[str, str | None]]) -> str:
    """LLaVA's conversation.py, SeparatorStyle.TWO."""
    text = system + " "
    for number, (role, message) in enumerate(messages):
        text += f"{role}:" if message is None else f"{role}: {message}" + (" ", "</s>")[number % 2]
    return text


def llama_3(system: str, messages: list[tuple[str, str | None]]) -> str:
    """Libra's conversation.py, SeparatorStyle.LLAMA_3: past turns have the role in lower case, the open one has not."""
    wrap_role = lambda role, message: f"<|start_header_id|>{role}<|end_header_id|>\n\n{message}<|eot_id|>\n"  # noqa: E731
    text = ""
    for number, (role, message) in enumerate(messages):
        if message is None:
            text += f"<|start_header_id|>{role}<|end_header_id|>\n\n"
        elif number == 0:
            text += f"<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>"
            text += wrap_role("user", message)
        else:
            text += wrap_role("user" if role == "USER" else "assistant", message)
    return text.strip()


def conversation(case: dict, asked: str) -> list[tuple[str, str | None]]:
    asks = [question for question, _ in case["turns"]] + [case["question"]]
    texts = [f"<image>\n{asked}", *(question.strip() for question in asks[1:])]
    messages: list[tuple[str, str | None]] = []
    for number, text in enumerate(texts):
        answer = case["turns"][number][1] if number < len(case["turns"]) else None
        messages += [("USER", text), ("ASSISTANT", answer)]
    return messages


def first_question(case: dict) -> str:
    return (case["turns"][0][0] if case["turns"] else case["question"]).strip()


def llava_rad(case: dict) -> str:
    """llava/utils.py, data_loader_mimic_reason_findings."""
    asked = first_question(case)
    if case["indication"] is not None:
        asked = f"{asked.removesuffix('.')} given the following indication: {case['indication']}"
    return two_separators(HUMAN, conversation(case, asked))


def libra_asked(case: dict) -> str:
    known = [(name, case[name]) for name in ("indication", "comparison", "technique") if case[name] is not None]
    context = " ".join(f"{name.title()}: {text}" for name, text in known)
    return first_question(case) + (f" Following clinical context: {context}" if known else "")


def libra(case: dict) -> str:
    return two_separators(LIBRA, conversation(case, libra_asked(case)))


def libra_llama_3(case: dict) -> str:
    return llama_3(SEES, conversation(case, libra_asked(case)))


def maira_2(case: dict) -> str:
    """processing_maira2.py and the chat template."""
    has_lateral, has_prior = "lateral" in case["images"], "prior" in case["images"]
    text = "You are an expert radiology assistant tasked with interpreting a chest X-ray study."
    content = ""
    if not has_prior and not has_lateral:
        content += "Given the current frontal image only" + "<image>"
    else:
        content += "Given the current frontal image" + "<image>"
        if has_prior:
            if has_lateral:
                content += " the current lateral image" + "<image>"
            content += " and the prior frontal image" + "<image>"
        else:
            content += " and the current lateral image" + "<image>"
    if has_prior:
        content += f" PRIOR_REPORT: {case['prior_report'] or 'N/A'}"
    sections = {name: case[name] or "N/A" for name in ("indication", "technique", "comparison")}
    content += f" {first_question(case)} INDICATION: {sections['indication']} TECHNIQUE: {sections['technique']}"
    content += f" COMPARISON: {sections['comparison']}"
    text += f"  USER:  {content}  ASSISTANT: "
    following = [question for question, _ in case["turns"][1:]] + [case["question"]]
    for (_, answer), question in zip(case["turns"], following, strict=False):
        text += f"{answer}</s>  USER:  {question.strip()}  ASSISTANT: "
    return text


WRITERS = {"maira-2": maira_2, "llava-rad": llava_rad, "libra": libra, "libra-llama-3": libra_llama_3}
OWN = {
    "maira-2": [FINDINGS, FINDINGS + GROUNDED],
    "llava-rad": ["Provide a description of the findings in the radiology image."],
    "libra": ["Provide a detailed description of the findings in the radiology image."],
    "libra-llama-3": ["Provide a detailed description of the findings in the radiology image."],
}


def drawn(name: str, number: int) -> dict:
    draw = random.Random(f"{name} {number}")
    further = [role for role in ("lateral", "prior") if name == "maira-2" and draw.random() < 0.5]
    own = draw.choice(OWN[name])
    turns = [(own, draw.choice(ANSWERS))][: draw.randrange(2)]
    turns += [(draw.choice(QUESTIONS), draw.choice(ANSWERS)) for _ in range(draw.randrange(3) if turns else 0)]
    maybe = lambda choices: draw.choice(choices) if draw.random() < 0.7 else None  # noqa: E731
    return {
        "images": ["frontal", *further],
        "question": draw.choice(QUESTIONS) if turns else own,
        "turns": turns,
        "indication": maybe(REASONS),
        "technique": maybe(TECHNIQUES),
        "comparison": maybe(COMPARISONS),
        "prior_report": maybe(REPORTS) if "prior" in further else None,
    }


def segments(name: str, text: str, *, legacy: bool) -> list[list[int]]:
    """Ids before, between and behind the images."""
    if name != "maira-2":
        plain = SlowLlama(legacy=legacy)
        first, *others = map(plain.encode, text.split("<image>"))
        return [[plain.ids["<s>"], *first], *others]
    tokenizer, found = SlowLlama(WORDS, legacy=legacy), [[]]
    for one in [tokenizer.ids["<s>"], *tokenizer.encode(text)]:
        if one == tokenizer.ids["<image>"]:
            found.append([])
        else:
            found[-1].append(one)
    return found


def digest(ids: list[list[int]]) -> str:
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def main() -> None:
    check()
    parts = []
    for name, write in WRITERS.items():
        lines = []
        for number in range(CASES):
            case = drawn(name, number)
            ids = {way: segments(name, write(case), legacy=way == "legacy") for way in ("legacy", "new")}
            case |= {way: digest(made) for way, made in ids.items()} | ({"ids": ids} if number < 2 else {})
            lines.append(json.dumps(case, ensure_ascii=False))
        parts.append(f"{json.dumps(name)}: [\n" + ",\n".join(lines) + "\n]")
    (HERE / "image_prompts.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
