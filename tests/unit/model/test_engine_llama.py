"""The model step: the same tokens as transformers, in any slots, beside any others, with a shared beginning."""

import copy
from typing import Any

import pytest
import torch

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine import quantised
from xraygpt_core.model.engine.cache import Cache
from xraygpt_core.model.engine.graphs import rounded
from xraygpt_core.model.engine.llama import Llama
from xraygpt_core.model.engine.weights import Matrix, free_bytes, widens

PROMPTS = [[5, 9, 11, 3, 8, 20, 21], [5, 9, 40], [5, 9, 3, 3, 17, 60, 61, 62, 63, 64, 2], [5, 9, 33, 90, 7]]
NEW = 12


def small_model(**changed: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    given = {
        "vocab_size": 97,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.4,
        "tie_word_embeddings": False,
    }
    return LlamaForCausalLM(LlamaConfig(**(given | changed))).eval().requires_grad_(False)


def reference(model: Any, prompt: list[int]) -> list[int]:
    """Transformers' own greedy text from embeddings."""
    said = model.generate(
        inputs_embeds=model.get_input_embeddings()(torch.tensor([prompt])),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=NEW,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    ids: list[int] = said[0].tolist()
    return ids


def greedy(llama: Llama, cache: Cache, slots: list[int], prompts: list[list[int]]) -> list[list[int]]:
    """Ours, all at once."""
    logits = llama.prefill(cache, slots, [llama.embed(prompt) for prompt in prompts])
    said = [[int(one.argmax())] for one in logits]
    cache.ids[slots] = logits.argmax(-1)
    for _ in range(NEW - 1):
        logits = llama.decode(cache, 0, cache.slots, int(cache.lengths.max()))
        cache.ids[:] = logits.argmax(-1)
        for row, slot in enumerate(slots):
            said[row].append(int(cache.ids[slot]))
    return said


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"num_key_value_heads": 6},
        {"num_key_value_heads": 1, "tie_word_embeddings": True},
        {"attention_bias": True, "mlp_bias": False},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}},
    ],
    ids=["grouped", "one-to-one", "one-group-tied", "biased", "stretched"],
)
def test_ragged_prompts_together_say_what_transformers_says_one_by_one(changed: dict[str, Any]) -> None:
    model = small_model(**changed)
    expected = [reference(model, prompt) for prompt in PROMPTS]
    llama = Llama(model)
    assert greedy(llama, llama.cache(6, 40), [4, 0, 5, 2], PROMPTS) == expected


def test_a_shared_beginning_computed_once_changes_no_token() -> None:
    model = small_model()
    expected = [reference(model, prompt) for prompt in PROMPTS]
    llama = Llama(model)
    llama.share([5, 9])
    assert llama.prefix_tokens == 2
    assert greedy(llama, llama.cache(4, 40), [0, 1, 2, 3], [prompt[2:] for prompt in PROMPTS]) == expected


def test_a_moved_row_goes_on_where_it_was() -> None:
    model = small_model()
    expected = reference(model, PROMPTS[0])
    llama = Llama(model)
    cache = llama.cache(3, 40)
    logits = llama.prefill(cache, [2], [llama.embed(PROMPTS[0])])
    said = [int(logits.argmax())]
    cache.ids[2] = said[0]
    cache.move(2, 0, len(PROMPTS[0]))
    while len(said) < NEW:
        said.append(int(llama.decode(cache, 0, 1, int(cache.lengths[0])).argmax()))
        cache.ids[0] = said[-1]
    assert said == expected


def test_half_of_the_rows_can_be_computed_again() -> None:
    llama = Llama(small_model())
    cache = llama.cache(4, 40)
    cache.ids[:] = llama.prefill(cache, [0, 1, 2, 3], [llama.embed(prompt) for prompt in PROMPTS]).argmax(-1)
    before = cache.lengths.clone()
    whole = llama.decode(cache, 0, 4, 12)
    cache.lengths.copy_(before)
    halves = torch.cat([llama.decode(cache, 0, 2, 12), llama.decode(cache, 2, 4, 12)])
    torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-4)
    assert cache.lengths.tolist() == (before + 1).tolist()


@pytest.mark.parametrize(("slots", "length"), [(13, 100), (16, 128), (3, 40)])
def test_rounded_steps_hold_what_they_are_for_and_are_few(slots: int, length: int) -> None:
    cache = Llama(small_model()).cache(slots, length)
    found = {(r, t): rounded(cache, r, t) for r in range(1, slots + 1) for t in range(1, length)}
    assert all(rows <= wide <= slots and longest <= deep < length for (rows, longest), (wide, deep) in found.items())
    assert all((deep + 1) % 64 == 0 or deep == length - 1 for _, deep in found.values())
    assert len(set(found.values())) <= 4


def test_what_a_poisoned_row_left_behind_is_scrubbed() -> None:
    llama = Llama(small_model())
    cache = llama.cache(1, 40)
    poison = torch.full((30, 48), float("nan"))
    assert not llama.prefill(cache, [0], [poison]).isfinite().any()
    cache.scrub(0, 0)
    cache.ids[0] = llama.prefill(cache, [0], [llama.embed(PROMPTS[0])]).argmax()
    assert llama.decode(cache, 0, 1, 20).isfinite().all()


@pytest.mark.parametrize("tied", [False, True])
def test_the_memory_of_the_original_layers_is_given_back(tied: bool) -> None:
    model = small_model(tie_word_embeddings=tied)
    Llama(model)
    assert all(parameter.is_meta for parameter in model.model.layers.parameters())
    assert model.lm_head.weight.is_meta
    assert not model.get_input_embeddings().weight.is_meta


def test_a_table_that_is_the_head_as_well_is_kept_once() -> None:
    model = small_model(tie_word_embeddings=True)
    table = model.get_input_embeddings().weight.data_ptr()
    llama = Llama(model)
    assert llama.embedding.data_ptr() == llama._head._weight.data_ptr() == table


@pytest.mark.usefixtures("int8_products")
def test_a_table_that_is_the_head_as_well_is_apart_where_the_head_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_WORTH", 0)
    model = small_model(tie_word_embeddings=True, vocab_size=96)
    table = model.get_input_embeddings().weight.clone()
    llama = Llama(model, "int8")
    assert isinstance(llama._head, quantised.Int8Matrix)
    assert torch.equal(llama.embedding, table)


def test_another_architecture_is_refused() -> None:
    model = small_model()
    model.config.model_type = "gpt2"
    with pytest.raises(BundleError, match="LLaMA"):
        Llama(model)


def test_what_a_step_costs_is_counted() -> None:
    model = small_model()
    weights = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name)
    llama = Llama(copy.deepcopy(model))
    assert llama.bytes == 4 * weights
    assert llama.flops == 2 * weights
    assert llama.token_bytes == 3 * 2 * 2 * 8 * 4


# oneDNN packs bfloat16 only where the processor has AVX-512; elsewhere a bundle is served in float32.
needs_bfloat16 = pytest.mark.skipif(
    not torch.cpu._is_avx512_supported(), reason="this processor has no AVX-512, so bfloat16 is not multiplied on it"
)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16), torch.float64])
@pytest.mark.parametrize("rows", [1, 3, 33])
@pytest.mark.parametrize("shared", [False, True])
def test_fused_and_packed_layers_multiply_alike(dtype: torch.dtype, rows: int, shared: bool) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(24, width, dtype=dtype) for width in (16, 8)]
    x = torch.randn(rows, 24, dtype=dtype)
    expected = torch.cat([layer(x) for layer in layers], -1)
    torch.testing.assert_close(Matrix(layers, shared=shared)(x), expected)


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "biased"])
@pytest.mark.parametrize("rows", [1, 3, 33])
def test_wide_layers_round_once_at_the_end(rows: int, bias: bool) -> None:
    """Whole numbers add up to the same in any order, and to more than the eight bits of bfloat16."""
    source = torch.Generator().manual_seed(0)
    layers = [torch.nn.Linear(24, width, bias=bias, dtype=torch.bfloat16) for width in (16, 8)]
    for parameter in (one for layer in layers for one in layer.parameters()):
        parameter.data = torch.randint(-99, 100, parameter.shape, generator=source).to(torch.bfloat16)
    x = torch.randint(-99, 100, (rows, 24), generator=source).to(torch.bfloat16)
    exact = torch.cat([copy.deepcopy(layer).float()(x.float()) for layer in layers], -1)
    product = Matrix(layers, wide=True)
    assert product.bytes == 4 * 24 * 24
    assert torch.equal(product(x), exact.bfloat16())
    assert not torch.equal(exact.bfloat16().float(), exact)


def on_a_cpu(monkeypatch: pytest.MonkeyPatch, *, with_bfloat16: bool, free: int = 2**40) -> None:
    monkeypatch.setattr("xraygpt_core.model.engine.weights.cpu_multiplies_bfloat16", lambda: with_bfloat16)
    monkeypatch.setattr("xraygpt_core.model.engine.weights.free_bytes", lambda _device: free)


def test_a_cpu_that_does_not_multiply_bfloat16_computes_such_a_model_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_cpu(monkeypatch, with_bfloat16=False)
    assert widens(small_model().to(torch.bfloat16))
    assert not widens(small_model())


def test_a_cpu_that_multiplies_bfloat16_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu(monkeypatch, with_bfloat16=True)
    assert not widens(small_model().to(torch.bfloat16))


def test_a_model_that_would_not_fit_in_float32_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model().to(torch.bfloat16)
    size = 4 * sum(one.numel() for one in model.parameters())
    on_a_cpu(monkeypatch, with_bfloat16=False, free=size - 1)
    assert not widens(model)
    on_a_cpu(monkeypatch, with_bfloat16=False, free=size)
    assert widens(model)


@needs_bfloat16
def test_a_model_computed_in_float32_keeps_its_own_precision_elsewhere() -> None:
    plain, wide = Llama(small_model().to(torch.bfloat16)), Llama(small_model().to(torch.bfloat16), "float32")
    assert wide.token_bytes == plain.token_bytes
    assert wide.bytes == 2 * plain.bytes
    prompts = [plain.embed([5, 6, 7])]
    found, wanted = (llama.prefill(llama.cache(2, 16), [1], prompts) for llama in (wide, plain))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0.05)


def test_free_memory_is_measured() -> None:
    assert free_bytes(torch.device("cpu")) > 2**20
