"""Generation: padding on the left, stop sequences for every row, and rows ended from outside."""

from collections.abc import Callable

import pytest
import torch

from xraygpt_core.model.bundle import Bundle, Decoding
from xraygpt_core.model.generate import generate, pad_left
from xraygpt_core.model.llm import Llm, load_llm


@pytest.fixture(scope="module")
def llm(tiny: Bundle) -> Llm:
    return load_llm(tiny.llm, None, torch.device("cpu"), torch.float32)


def rows_of(llm: Llm, *texts: str) -> list[torch.Tensor]:
    return [llm.embed(llm.tokenizer.encode(text, add_special_tokens=False)) for text in texts]


def never(_index: int, _text: str) -> bool:
    return False


def test_rows_are_padded_on_the_left() -> None:
    embeddings, mask = pad_left([torch.ones(1, 2), torch.ones(3, 2)])
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert embeddings[0].tolist() == [[0, 0], [0, 0], [1, 1]]


def test_a_batch_of_unequal_rows_equals_one_by_one(llm: Llm) -> None:
    rows = rows_of(llm, "a", "a much longer prompt than that", "something between")
    alone = [generate(llm, [row], Decoding(max_new_tokens=12), (), never)[0] for row in rows]
    assert generate(llm, rows, Decoding(max_new_tokens=12), (), never) == alone


def test_each_row_stops_at_its_own_stop_sequence(llm: Llm) -> None:
    rows = rows_of(llm, "one", "another one", "a third")
    free = generate(llm, rows, Decoding(max_new_tokens=16), (), never)
    raw = [llm.tokenizer.encode(row.text, add_special_tokens=False) for row in free]
    stops = [row.text[3] for row in free]
    stopped = generate(llm, rows, Decoding(max_new_tokens=16), stops[:1], never)
    for index, row in enumerate(stopped):
        place = free[index].text.find(stops[0])
        assert row.text == (free[index].text[:place].strip() if place >= 0 else free[index].text)
    assert len(stopped[0].text) < len(free[0].text)
    assert all(raw)


def test_no_more_tokens_than_asked(llm: Llm) -> None:
    rows = generate(llm, rows_of(llm, "x", "yy"), Decoding(max_new_tokens=5), (), never)
    assert max(row.tokens for row in rows) <= 5


def test_a_row_can_be_ended_from_outside_while_others_go_on(llm: Llm) -> None:
    seen: dict[int, int] = {0: 0, 1: 0}

    def end_first(index: int, _text: str) -> bool:
        seen[index] += 1
        return index == 0 and seen[0] == 2

    rows = generate(llm, rows_of(llm, "x", "yy"), Decoding(max_new_tokens=6), (), end_first)
    assert rows[0].tokens == 2
    assert rows[1].tokens > 2
    assert seen[0] == 2


def test_sampling_with_a_seed_repeats_itself(llm: Llm) -> None:
    decoding = Decoding(max_new_tokens=12, do_sample=True, temperature=1.5, top_p=0.95, seed=3)
    one, two = (generate(llm, rows_of(llm, "abc"), decoding, (), never)[0].text for _ in range(2))
    assert one == two


def test_the_end_token_ends_a_row(llm: Llm, monkeypatch: pytest.MonkeyPatch) -> None:
    free = generate(llm, rows_of(llm, "one"), Decoding(max_new_tokens=6), (), never)[0]
    first = llm.tokenizer.encode(free.text, add_special_tokens=False)[0]
    monkeypatch.setattr(llm.model.generation_config, "eos_token_id", first)
    assert generate(llm, rows_of(llm, "one"), Decoding(max_new_tokens=6), (), never)[0].tokens == 1


def test_images_change_the_text(tiny: Bundle, noise_png: Callable[[int], bytes]) -> None:
    from xraygpt_core.model.summariser import load

    loaded = load(tiny, "cpu", torch.float32)
    tokens = loaded.image_tokens(loaded.features([loaded.encoder.preprocess(noise_png(i)) for i in range(2)]))
    assert not torch.allclose(tokens[0], tokens[1])
