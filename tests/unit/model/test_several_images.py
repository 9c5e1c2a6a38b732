"""Several images in one prompt: each role's tokens stand where the template has its place, in every backend."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.vllm_server import small_vllm
from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.backend import Clinical, GenerationRequest
from xraygpt_core.model.bundle import Bundle, read_bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.prompt import tokenise
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer
from xraygpt_core.states import ImageRole

Png = Callable[[int], bytes]
FRONTAL, LATERAL, PRIOR = ImageRole
PROMPT = {
    "template": "maira-2",
    "question": "Describe it.",
    "stop": ["</s>"],
    "images": ["prior", "frontal", "lateral"],
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "three", image_tokens=5, prompt=PROMPT)


@pytest.fixture(scope="module")
def engine(three: Bundle) -> Iterator[Engine]:
    made = Engine(three, device="cpu", batch_size=6, dtype=torch.float32)
    yield made
    made.close()


@pytest.fixture(scope="module")
def loaded(three: Bundle) -> Loaded:
    return load(three, "cpu", torch.float32)


def requests(png: Png) -> list[GenerationRequest]:
    """Every set of images, and what else a request may bring."""
    clinical = Clinical("cough", None, "None.", "Clear lungs.")
    return [
        GenerationRequest(png(1)),
        GenerationRequest(png(1), lateral_png=png(2)),
        GenerationRequest(png(1), prior_png=png(2)),
        GenerationRequest(png(1), lateral_png=png(2), prior_png=png(3), clinical=clinical),
        GenerationRequest(png(1), lateral_png=png(3), prior_png=png(2), clinical=clinical),
        GenerationRequest(png(4), "why?", (("Describe it.", "Clear."),), lateral_png=png(2)),
    ]


@torch.inference_mode()
def written(loaded: Loaded, request: GenerationRequest) -> str:
    """What transformers writes for this request alone, its prompt put together piece by piece."""
    tokenizer = loaded.llm.tokenizer
    pngs = [request.image_png, request.lateral_png, request.prior_png]
    pieces = loaded.prompt(request).shown.replace("[prior_report]", "Clear lungs.").replace("[indication]", "cough")
    pieces = pieces.replace("[comparison]", "None.")
    texts = [tokenizer.encode(text, add_special_tokens=False) for text in pieces.split("[image tokens]")]
    parts = [loaded.llm.embed([tokenizer.bos_token_id, *texts[0]])]
    for png, ids in zip([png for png in pngs if png is not None], texts[1:], strict=True):
        parts += [loaded.image_tokens(loaded.features([loaded.encoder.preprocess(png)]))[0], loaded.llm.embed(ids)]
    row = torch.cat(parts)[None]
    ids = loaded.llm.model.generate(
        inputs_embeds=row, attention_mask=torch.ones(row.shape[:2]), max_new_tokens=8, do_sample=False
    )
    return str(tokenizer.decode(ids[0], skip_special_tokens=True)).partition("</s>")[0].strip()


def test_each_set_of_images_alone_and_in_a_batch_is_what_transformers_writes(
    engine: Engine, loaded: Loaded, noise_png: Png
) -> None:
    asked = requests(noise_png)
    expected = [written(loaded, request).rpartition("ASSISTANT:")[2].strip() for request in asked]
    alone = [engine.submit(request).result(60) for request in asked]
    started, released = threading.Event(), threading.Event()
    hold = GenerationRequest(noise_png(0), on_progress=lambda: (started.set(), released.wait(60)))
    engine.submit(hold)
    assert started.wait(60)
    futures = [engine.submit(request) for request in asked]
    released.set()
    together = [future.result(60) for future in futures]
    assert [one.text for one in alone] == expected
    assert [one.text for one in together] == expected
    assert len(set(expected)) > 3
    assert [one.prompt.count("[image tokens]") for one in alone] == [1, 2, 2, 3, 3, 2]


def test_vllm_writes_what_our_own_engine_writes(three: Bundle, engine: Engine, noise_png: Png) -> None:
    asked = requests(noise_png)[2:4]
    with small_vllm(three) as server:
        backend = VllmEngine(three, VllmServer(server.url), device="cpu", dtype=torch.float32, batch_size=2)
        made = [backend.submit(request).result(60) for request in asked]
        backend.close()
    expected = [engine.submit(request).result(60) for request in asked]
    # up to a character of several tokens, which the small server cannot stream
    said = [[(one.text.split("\ufffd")[0], one.tokens, one.prompt) for one in answers] for answers in (made, expected)]
    assert said[0] == said[1]


def test_the_hospitals_words_stand_in_no_provenance(engine: Engine, noise_png: Png) -> None:
    made = engine.submit(requests(noise_png)[3]).result(60)
    assert "cough" not in repr(made)
    assert "INDICATION: [indication] TECHNIQUE: N/A COMPARISON: [comparison]" in made.prompt


def test_a_summarys_slot_has_room_for_the_longest_set_of_images_and_for_the_hospitals_words(
    engine: Engine, loaded: Loaded, tiny: Bundle
) -> None:
    every = GenerationRequest(b"", lateral_png=b"", prior_png=b"", clinical=Clinical("word " * 30))
    texts = sum(map(len, tokenise(loaded.prompt(every), loaded.llm.tokenizer)))
    assert texts + 3 * loaded.image_length + 8 <= min(one.length for one in engine._runner.classes)
    assert load(tiny, "cpu", torch.float32).clinical_room == 0


def test_the_hospitals_words_are_shortened_where_they_leave_no_room_and_the_provenance_says_so(
    engine: Engine, loaded: Loaded, noise_png: Png
) -> None:
    long = GenerationRequest(noise_png(1), clinical=Clinical("word " * 300, "Portable AP"))
    prompt = loaded.prompt(long)
    words = prompt.after.partition("INDICATION: ")[2].partition(" TECHNIQUE")[0].split(" ")
    assert set(words) == {"word"}
    assert 10 < len(words) < 300
    assert "TECHNIQUE: N/A" in prompt.after
    room = loaded.llm.context - loaded.bundle.decoding.max_new_tokens - loaded.image_length
    assert room - len(" word") < sum(map(len, tokenise(prompt, loaded.llm.tokenizer))) <= room
    made = engine.submit(long).result(60)
    assert (made.clinical, made.shortened) == (("indication",), ("technique", "indication"))
    with pytest.raises(InvalidRequest, match="does not fit"):
        loaded.prompt(replace(long, question="why " * 300))


def test_a_bundle_of_one_image_ignores_the_others(tiny: Bundle, noise_png: Png) -> None:
    made = load(tiny, "cpu", torch.float32)
    more = GenerationRequest(noise_png(1), lateral_png=b"not even read", prior_png=b"nor this")
    assert len(made.pictures(more)) == 1
    assert made.prompt(more) == made.prompt(GenerationRequest(noise_png(1)))


def test_an_unreadable_further_image_fails_its_request_alone(engine: Engine, noise_png: Png) -> None:
    bad = engine.submit(GenerationRequest(noise_png(1), lateral_png=b"broken"))
    assert isinstance(bad.exception(60), InvalidRequest)
    assert engine.submit(GenerationRequest(noise_png(1))).result(60).tokens


def test_a_bundles_images_are_in_the_order_of_the_prompt_and_one_is_frontal(three: Bundle, tmp_path: Path) -> None:
    assert three.images == (FRONTAL, LATERAL, PRIOR)
    for images, message in ((["lateral"], "the frontal film is always one"), (["frontal", "side"], "'side' is not")):
        with pytest.raises(BundleError, match=message):
            make_tiny_bundle(tmp_path, "wrong", prompt=PROMPT | {"images": images})


def test_an_old_bundle_shows_the_frontal_film_alone(tiny: Bundle) -> None:
    assert read_bundle(tiny.path).images == (FRONTAL,)


def test_a_template_without_a_place_for_a_role_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    prompt = PROMPT | {"template": "llava-rad", "images": ["frontal", "prior"]}
    made = make_tiny_bundle(tmp_path, "wrong", prompt=prompt)
    with pytest.raises(BundleError, match="'llava-rad' has no place for frontal and prior images together"):
        load(made, "cpu", torch.float32)


def test_images_that_do_not_fit_together_are_refused_when_it_is_loaded(tmp_path: Path) -> None:
    made = make_tiny_bundle(tmp_path, "wide", image_tokens=300, prompt=PROMPT)
    with pytest.raises(BundleError, match="300 tokens of each of 3 images and 8 of an answer do not fit into the LLM"):
        load(made, "cpu", torch.float32)


class Difference(nn.Module):
    """Stands where a temporal projector stands: (batch, positions, channels) twice to (batch, tokens, hidden)."""

    def forward(self, current: Tensor, prior: Tensor) -> Tensor:
        return (current - prior)[:, :, :32] + current[:, :, 32:64]


@pytest.fixture
def temporal(loaded: Loaded) -> Any:
    bundle = replace(loaded.bundle, projector="TemporalProjector", images=(FRONTAL, PRIOR))
    return replace(loaded, bundle=bundle, projector=Difference(), image_length=4)  # type: ignore[arg-type]


def test_a_temporal_projector_makes_one_images_tokens_of_current_and_prior(temporal: Loaded, noise_png: Png) -> None:
    asked = [GenerationRequest(noise_png(1), prior_png=noise_png(2)), GenerationRequest(noise_png(3))]
    pictures = [picture for request in asked for picture in temporal.pictures(request)]
    tokens = temporal.image_tokens(temporal.features(pictures))
    one, two, three = (temporal.encoder.encode(temporal.encoder.preprocess(noise_png(n))[None]) for n in (1, 2, 3))
    expected = torch.cat([Difference()(one, two), Difference()(three, three)])
    torch.testing.assert_close(tokens, expected)
    assert temporal.prompt(asked[0]).images == (FRONTAL,)
    assert temporal.image_sets == [(FRONTAL,)]
