"""Train a small SentencePiece model with LLaMA's settings, and tokenise with it as the reference code does.

Writes tokenizer.model and llama_tokens.json. Run once, by hand, in an environment of its own:

    python3.11 -m venv v && v/bin/pip install transformers==4.30.2 sentencepiece==0.2.3 protobuf 'numpy<2' pillow
    PYTHONPATH=<repository> v/bin/python …/tests/unit/model/reference/make_llama_tokens.py

The slow LlamaTokenizer of transformers 4.30 is the one XrayGPT's code uses (use_fast=False). Prompts are put together
here as the reference programs do it: text with <ImageHere>, split, each segment tokenised alone, BOS on the first.
"""

import io
import json
import tempfile
from pathlib import Path

import sentencepiece
from transformers import LlamaTokenizer

from xraygpt_core.phantoms.draw import draw_phantom

HERE = Path(__file__).parent
HUMAN = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
USER = HUMAN.replace("human", "user")
DOCTOR = (
    "You are an experienced Doctor, give the following medical scan: <Img>ImageContent</Img>. "
    "You will be able to see the medical scan once I provide it to you. Please answer my questions."
)
Q, A, Q2 = "Describe the given chest x-ray image in detail.", "Normal heart size. No effusion.", "And the left lung?"
IMG = "<Img><ImageHere></Img>"

# template -> [prompt of one turn, prompt of the second turn], as the reference programs build the string
PROMPTS = {
    # mini_gpt4.py: prompt_template.format(line); the trailing space is not kept
    "xraygpt-code": [
        f"###Patient: {IMG} {Q} ###Doctor:",
        f"###Patient: {IMG} {Q} ###Doctor: {A} ###Patient: {Q2} ###Doctor:",
    ],
    # conversation.py, SeparatorStyle.SINGLE: system + sep, then role + ": " + message + sep
    "xraygpt-demo": [
        DOCTOR + "###" + f"Patient: {IMG} {Q}" + "###" + "Doctor:",
        DOCTOR + "###" + f"Patient: {IMG} {Q}" + "###" + f"Doctor: {A}" + "###" + f"Patient: {Q2}" + "###" + "Doctor:",
    ],
    # paper, 3.1 and 3.2
    "xraygpt-paper": [
        f"You are a helpful healthcare virtual assistant. ###Doctor: {IMG} {Q} ###Assistant:",
        f"You are a helpful healthcare virtual assistant. ###Doctor: {IMG} {Q} ###Assistant: {A} ###Doctor: {Q2} "
        "###Assistant:",
    ],
    # FastChat 0.1.10, SeparatorStyle.SINGLE: system, then sep + " " + role + ": " + message
    "vicuna-v0": [
        HUMAN + "###" + " " + f"Human: {IMG} {Q}" + "###" + " " + "Assistant:",
        HUMAN + "### " + f"Human: {IMG} {Q}" + "### " + f"Assistant: {A}" + "### " + f"Human: {Q2}" + "### Assistant:",
    ],
    # FastChat 0.2, SeparatorStyle.TWO: system + " ", then role + ": " + message + (" ", "</s>" in turn)
    "vicuna-v1.1": [
        USER + " " + f"USER: {IMG} {Q}" + " " + "ASSISTANT:",
        USER + " " + f"USER: {IMG} {Q}" + " " + f"ASSISTANT: {A}" + "</s>" + f"USER: {Q2}" + " " + "ASSISTANT:",
    ],
    # LLaVA: the same with <image>\n before the question
    "maira-1": [
        USER + " " + f"USER: <ImageHere>\n{Q}" + " " + "ASSISTANT:",
        USER + " " + f"USER: <ImageHere>\n{Q}" + " " + f"ASSISTANT: {A}" + "</s>" + f"USER: {Q2}" + " " + "ASSISTANT:",
    ],
}
TEXTS = [
    "", " ", "a", " a", "a ", "  two  spaces ", "line\nbreak", "\t", "###", "##", "# # #", "###Doctor:", "### Doctor: ",
    "No pleural effusion.", "3.5 cm", "12,345", "naïve", "température 38 °C", "肺", "🫁", "<Img>", "</Img> What?",
    "</s>", "a</s>b", "a</s> b</s>", "<s>", "<unk>x", "▁", "x▁y", "UPPER lower", "'s", "it's", "e-mail", "\\n", "{}[]",
    "Findings: AP view. Normal heart size.", "pneumothorax", "Pneumothoraces", "zzzzzz", "…", "\u00a0", "A" * 40,
]  # fmt: skip


def main() -> None:
    sentences = [draw_phantom(seed, side=128).report.text for seed in range(300)]
    sentences += [prompt for pair in PROMPTS.values() for prompt in pair] * 8
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in sentences for line in text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        character_coverage=0.99995,
    )
    (HERE / "tokenizer.model").write_bytes(model.getvalue())
    with tempfile.TemporaryDirectory() as folder:  # from_pretrained, which makes special tokens special
        LlamaTokenizer(str(HERE / "tokenizer.model")).save_pretrained(folder)
        tokenizer = LlamaTokenizer.from_pretrained(folder)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    found = {
        "texts": [{"text": text, "ids": ids(text)} for text in TEXTS + sentences[:20]],
        "question": Q,
        "turns": [[Q, A]],
        "next": Q2,
        "prompts": {
            name: [
                [[tokenizer.bos_token_id, *ids(before)], ids(after)]
                for before, after in (prompt.split("<ImageHere>") for prompt in prompts)
            ]
            for name, prompts in PROMPTS.items()
        },
    }
    (HERE / "llama_tokens.json").write_text(json.dumps(found, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
