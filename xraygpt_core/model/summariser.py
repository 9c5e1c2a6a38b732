"""One loaded bundle: encode, project, write prompts. :mod:`engine` or a model server makes the text."""

import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain, combinations

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.backend import AcceptedRequest, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.chest_check import ChestCheck, load_chest_check
from xraygpt_core.model.clinical_room import fit_prompt
from xraygpt_core.model.encoders.encoder import Encoder, feature_shape, load_encoder
from xraygpt_core.model.grounding import NO_PLACES, png_size, read_grounding
from xraygpt_core.model.llm import Llm, load_llm, pick_device, pick_dtype
from xraygpt_core.model.projector import Projector, image_shape, load_projector
from xraygpt_core.model.prompt import Prompt, Template, clean_answer, render, template_named, tokenise
from xraygpt_core.model.templates import reads_clinical
from xraygpt_core.report.sections import split_report
from xraygpt_core.states import ImageRole

_CLINICAL_ROOM = 200
_TEMPORAL = "TemporalProjector"  # makes one image's tokens of the current film and the prior


@dataclass(frozen=True)
class Loaded:
    """Everything a bundle names, on one device."""

    bundle: Bundle
    encoder: Encoder
    projector: Projector
    llm: Llm
    template: Template
    image_length: int  # in tokens, of one image
    chest: ChestCheck | None = None

    @property
    def pairs(self) -> bool:
        """Does the projector look at the current film and the prior at once?"""
        return self.bundle.projector == _TEMPORAL

    @property
    def image_sets(self) -> list[tuple[ImageRole, ...]]:
        """Every set of images that a prompt of this bundle can have a place for, the frontal film alone first."""
        further = self._placed(self.bundle.images)[1:]
        subsets = chain.from_iterable(combinations(further, size) for size in range(len(further) + 1))
        return [(ImageRole.FRONTAL, *roles) for roles in subsets]

    @property
    def clinical_room(self) -> int:
        """Tokens that the slot of a summary has for the hospital's words; more of them take a conversation's slot."""
        return _CLINICAL_ROOM if reads_clinical(self.template.name) else 0

    def pictures(self, request: GenerationRequest) -> list[Tensor]:
        """The images that the prompt has a place for, in its order and preprocessed; current and prior may be a pair.

        Raises:
            InvalidRequest: one of them is no readable image.
        """
        pngs = self._pngs(request)
        if not self.pairs:
            return [self.encoder.preprocess(pngs[role]) for role in self._placed(pngs)]
        current = self.encoder.preprocess(pngs[ImageRole.FRONTAL])
        prior = pngs.get(ImageRole.PRIOR)  # without one, Libra compares the film with itself (run_libra.py)
        return [torch.stack([current, current if prior is None else self.encoder.preprocess(prior)])]

    def encoded(self, places: int) -> int:
        """How many images the encoder sees for so many places of a prompt."""
        return 2 * places if self.pairs else places

    def features(self, images: Sequence[Tensor]) -> Tensor:
        """Preprocessed images to frozen features (batch, positions, channels), float32; (batch, 2, …) of pairs."""
        stacked = torch.stack(list(images)).to(self.llm.device)
        if not self.pairs:
            return self.encoder.encode(stacked)
        encoded = self.encoder.encode(stacked.flatten(0, 1))
        return encoded.view(-1, 2, *encoded.shape[1:])

    def image_tokens(self, features: Tensor) -> Tensor:
        """Features to embeddings (batch, tokens, hidden) in the LLM's precision."""
        with torch.inference_mode():
            tokens: Tensor = self.projector(*features.unbind(1)) if self.pairs else self.projector(features)
        return tokens.to(self.llm.model.dtype)

    def prompt(self, request: GenerationRequest, context: int | None = None) -> Prompt:
        """The prompt with as many earlier turns as ``context`` tokens, or else the LLM's context, have room for.

        The hospital's words are shortened where they leave no room for the question.
        """
        images = self._placed(self._pngs(request))
        context = context or self.llm.context
        room = context - self.bundle.decoding.max_new_tokens - self.image_length * len(images)
        question, tokenizer = request.question or self.bundle.question, self.llm.tokenizer
        return fit_prompt(self.template, question, request.turns, tokenizer, room, images, request.clinical)

    def length(self, texts: Sequence[Sequence[int]]) -> int:
        """Tokens of a prompt of these texts with an image between each two: known before anything is encoded."""
        return sum(map(len, texts)) + self.image_length * (len(texts) - 1)

    def row(self, prompt: Prompt, image_tokens: Iterable[Tensor]) -> Tensor:
        """``[text] [image tokens] [text] …`` as embeddings (tokens, hidden)."""
        texts = tokenise(prompt, self.llm.tokenizer)
        with torch.inference_mode():
            parts = [self.llm.embed(texts[0])]
            for tokens, ids in zip(image_tokens, texts[1:], strict=True):
                parts += [tokens, self.llm.embed(ids)]
            return torch.cat(parts)

    def _pngs(self, request: GenerationRequest) -> dict[ImageRole, bytes]:
        """The request's images that the bundle uses."""
        given = {
            ImageRole.FRONTAL: request.image_png,
            ImageRole.LATERAL: request.lateral_png,
            ImageRole.PRIOR: request.prior_png,
        }
        return {role: png for role in self.bundle.images if (png := given[role]) is not None}

    def _placed(self, roles: Iterable[ImageRole]) -> tuple[ImageRole, ...]:
        """Those of the roles that the prompt has a place for: a pair has one place."""
        return tuple(role for role in roles if not (self.pairs and role is ImageRole.PRIOR))

    def generated(
        self,
        done: AcceptedRequest,
        text: str,
        *,
        tokens: int,
        batch_size: int,
        started: float,
        cut_off: bool,
        **software: str,
    ) -> Generated:
        """The answer to a request, with its provenance; ``started`` is when its generation began (time.monotonic)."""
        text, grounding = clean_answer(self.template, text), NO_PLACES
        if self.template.grounded:
            text, grounding = read_grounding(text, *png_size(done.request.image_png))
        findings, impression = split_report(text)
        return Generated(
            text=text,
            findings=findings,
            impression=impression,
            prompt=done.prompt.shown,
            template=self.template.name,
            decoding=self.decoding,
            seed=self.bundle.decoding.seed,
            tokens=tokens,
            batch_size=batch_size,
            waited_seconds=started - done.submitted,
            generate_seconds=time.monotonic() - started,
            software=self.software | software,
            chest=done.chest,
            grounding=grounding,
            clinical=done.prompt.clinical,
            shortened=done.prompt.shortened,
            cut_off=cut_off,
        )

    @property
    def software(self) -> dict[str, str]:
        """What computed the text, for its provenance."""
        return {
            "xraygpt": version("xraygpt"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": version("transformers"),
            "device": str(self.llm.device),
            "dtype": str(self.llm.model.dtype).removeprefix("torch."),
        } | ({"weights": self.bundle.weights} if self.bundle.weights else {})

    @property
    def decoding(self) -> dict[str, object]:
        """The decoding settings, for a summary's provenance."""
        return {**asdict(self.bundle.decoding), "stop": list(self.bundle.stop)}


def load(bundle: Bundle, device: str = "auto", dtype: torch.dtype | None = None) -> Loaded:
    """Load a bundle onto one device.

    Raises:
        BundleError: a part is missing, or the parts do not fit together.
    """
    if bundle.projector is None or bundle.projector_weights is None:
        raise BundleError(f"bundle {bundle.name!r} has no projector: train one, or fetch the demo bundle")
    where = pick_device(device)
    encoder = load_encoder(bundle.encoder, bundle.encoder_weights, dict(bundle.encoder_options))
    encoder.to(where)
    projector = load_projector(bundle.projector, bundle.projector_weights).to(where).eval().requires_grad_(False)
    llm = load_llm(bundle.llm, bundle.adapter, where, dtype or pick_dtype(where, bundle.dtype))
    image_length = _check_fit(encoder, projector, llm)
    chest = None
    if bundle.chest_check is not None:
        chest = load_chest_check(bundle.chest_check, encoder.positions, encoder.channels).to(where)
    loaded = Loaded(bundle, encoder, projector, llm, template_named(bundle.template), image_length, chest)
    _check_images(loaded)
    _check_room(loaded)
    return loaded


def _check_fit(encoder: Encoder, projector: Projector, llm: Llm) -> int:
    """How many tokens an image has."""
    tokens, width = image_shape(projector, *feature_shape(encoder))
    if width != llm.hidden:
        raise BundleError(f"the projector makes {width} numbers a token, the LLM takes {llm.hidden}")
    return tokens


def _check_images(loaded: Loaded) -> None:
    """A set of images without a place in the prompt would fail the studies that have it."""
    if loaded.pairs and loaded.chest is not None:
        raise BundleError(f"bundle {loaded.bundle.name!r}: a chest check looks at one film, its projector at two")
    for images in loaded.image_sets:
        render(loaded.template, loaded.bundle.question, images=images)


def _check_room(loaded: Loaded) -> None:
    """A summary that does not fit would fail every study."""
    bundle, context = loaded.bundle, loaded.llm.context
    images = len(loaded.image_sets[-1])
    try:
        loaded.prompt(GenerationRequest(b"", lateral_png=b"", prior_png=b""))
    except InvalidRequest as error:
        of_images = "the image" if images == 1 else f"each of {images} images"
        raise BundleError(
            f"bundle {bundle.name!r}: its question, {loaded.image_length} tokens of {of_images} and "
            f"{bundle.decoding.max_new_tokens} of an answer do not fit into the LLM's {context}"
        ) from error
