"""Where a text ends, and that only rows which may have ended are decoded."""

from typing import Any

import pytest
import torch

from tests.support.engine_tools import small_model
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.roofline import Roofline, measure
from xraygpt_core.model.engine.text import Endings
from xraygpt_core.model.llm import load_base
from xraygpt_core.model.prompt import cut_at_stop


@pytest.fixture(scope="module")
def tokenizer(tiny: Bundle) -> Any:
    return load_base(tiny.llm)[1]


def endings(tokenizer: Any, *stop: str) -> Endings:
    return Endings(tokenizer, [tokenizer.eos_token_id], stop)


def steps_until_the_end(tokenizer: Any, text: str, *stop: str) -> int:
    ids = tokenizer.encode(text, add_special_tokens=False)
    watch = endings(tokenizer, *stop)
    return next((count for count in range(1, len(ids) + 1) if watch.reached(ids[:count])), -1)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (" fine. ### more", ("###",), ("fine.", True)),
        ("a</s>b###c", ("###", "</s>"), ("a", True)),
        (" nothing to cut ", ("###",), ("nothing to cut", False)),
        ("text", (), ("text", False)),
    ],
)
def test_text_is_cut_at_the_first_stop_sequence(text: str, words: tuple[str, ...], expected: tuple[str, bool]) -> None:
    assert cut_at_stop(text, words) == expected


@pytest.mark.parametrize(
    ("text", "words", "steps"),
    [
        ("ab###cd", ("###",), 5),
        ("ab##cd", ("###",), -1),
        ("one\ntwo", ("\n",), 4),
        ("größe", ("ö",), 4),
        ("a. b? c", ("?", "."), 2),
    ],
)
def test_a_row_ends_with_the_token_that_completes_a_stop_sequence(
    tokenizer: Any, text: str, words: tuple[str, ...], steps: int
) -> None:
    assert steps_until_the_end(tokenizer, text, *words) == steps


def test_a_row_ends_at_the_end_token(tokenizer: Any) -> None:
    assert endings(tokenizer).reached([50, tokenizer.eos_token_id])
    assert not endings(tokenizer).reached([tokenizer.eos_token_id, 51])


def test_rows_are_not_decoded_at_every_step(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = endings(tokenizer, "###")
    ids = tokenizer.encode("a long text # and ## more", add_special_tokens=False)
    decoded = []
    monkeypatch.setattr(type(tokenizer), "decode", lambda *_args, **_named: decoded.append(1) or "")
    for count in range(1, len(ids) + 1):
        watch.reached(ids[:count])
    assert len(decoded) == 3  # once for each token with a #


def test_a_text_holds_no_special_tokens_and_no_stop_sequence(tokenizer: Any) -> None:
    ids = [*tokenizer.encode(" Clear lungs. ###Patient", add_special_tokens=False), tokenizer.eos_token_id]
    assert endings(tokenizer, "###").text(ids) == "Clear lungs."


def test_the_limit_of_a_device_is_measured() -> None:
    limit = measure(torch.device("cpu"), small_model().dtype)
    assert limit.bytes_per_second > 1e8
    assert limit.flops_per_second > 1e9


def test_reading_and_multiplying_add_up() -> None:
    assert Roofline(100.0, 10.0).seconds(200.0, 30.0) == 5.0
