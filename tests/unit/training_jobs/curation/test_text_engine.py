"""A bundle's language model answers prompts on our own engine, without a picture."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.report_archives import small_collection, tar_of
from training_jobs.__main__ import main
from training_jobs.curation.rewriters import Stopping, Unanswered
from training_jobs.curation.text_engine import TextEngine, without_image
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_merged
from xraygpt_core.model.prompt import render, template_named, tokenise

MEMORY = 2**26


@pytest.fixture(scope="module")
def engine(tiny_base: Bundle) -> Iterator[TextEngine]:
    running = TextEngine(tiny_base, device="cpu", batch_size=4, max_new_tokens=12, memory=MEMORY)
    yield running
    running.close()


def test_many_prompts_are_answered_as_each_alone(engine: TextEngine) -> None:
    prompts = [f"Report number {number}: clear lungs." for number in range(6)]
    alone = [engine.answer("Be brief.", prompt).text for prompt in prompts]
    with ThreadPoolExecutor(6) as pool:
        together = [answer.text for answer in pool.map(lambda prompt: engine.answer("Be brief.", prompt), prompts)]
    assert together == alone


def test_the_answer_is_what_transformers_writes(engine: TextEngine, tiny_base: Bundle) -> None:
    import torch

    model, tokenizer = load_merged(tiny_base.llm, None, torch.float32)
    template = without_image(template_named(tiny_base.template))
    before, after = tokenise(render(template, "Be brief.\n\nClear lungs."), tokenizer)
    ids = torch.tensor([before + after])
    whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
    answer = engine.answer("Be brief.", "Clear lungs.")
    assert answer.text == text.partition("###")[0].rpartition("Doctor:")[2].strip()
    assert answer.tokens_in == len(after)


def test_a_prompt_that_is_too_long_is_left_to_the_rules(engine: TextEngine) -> None:
    with pytest.raises(Unanswered, match="do not fit"):
        engine.answer("Be brief.", "word " * 20_000)


def test_nothing_of_an_image_is_in_the_prompt() -> None:
    for name in ("xraygpt-code", "xraygpt-demo", "xraygpt-paper", "vicuna-v0", "vicuna-v1.1", "maira-1"):
        prompt = render(without_image(template_named(name)), "What now?")
        assert "mg>" not in prompt.before + prompt.after
        assert "What now?" in prompt.after


def test_an_engine_that_is_closed_stops_the_curation(tiny_base: Bundle) -> None:
    running = TextEngine(tiny_base, device="cpu", batch_size=1, max_new_tokens=4, memory=MEMORY)
    running.close()
    with pytest.raises(Stopping):
        running.answer("", "x")


def test_a_model_of_nonsense_falls_back_to_the_rules_for_every_report(
    tiny_base: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tar_of(tmp_path / "a.tgz", small_collection(3))
    line = ["curate", str(tmp_path / "a.tgz"), "--base", str(tiny_base.path), "--out", str(tmp_path / "out")]
    assert main([*line, "--device", "cpu", "--max-answer-tokens", "8"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], sum(told["fell_back"].values())) == (3, 3)
    pair = json.loads((tmp_path / "out" / "kept.jsonl").read_text().splitlines()[0])
    assert pair["provenance"]["model"].startswith("bundle base ")
