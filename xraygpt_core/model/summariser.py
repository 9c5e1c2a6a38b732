"""One loaded bundle: encode, project, write prompts. :mod:`engine` or a model server makes the text."""

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.backend import AcceptedRequest, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.chest_check import ChestCheck, load_chest_check
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.llm import Llm, load_llm, pick_device, pick_dtype
from xraygpt_core.model.projector import Projector, image_shape, load_projector
from xraygpt_core.model.prompt import Prompt, Template, clean_answer, fit_turns, template_named, tokenise
from xraygpt_core.report.sections import split_report


@dataclass(frozen=True)
class Loaded:
    """Everything a bundle names, on one device."""

    bundle: Bundle
    encoder: Encoder
    projector: Projector
    llm: Llm
    template: Template
    image_length: int  # in tokens
    chest: ChestCheck | None = None

    def features(self, images: Sequence[Tensor]) -> Tensor:
        """Preprocessed images to frozen features (batch, positions, channels), float32."""
        return self.encoder.encode(torch.stack(list(images)).to(self.llm.device))

    def image_tokens(self, features: Tensor) -> Tensor:
        """Features to embeddings (batch, tokens, hidden) in the LLM's precision."""
        with torch.inference_mode():
            tokens: Tensor = self.projector(features)
        return tokens.to(self.llm.model.dtype)

    def prompt(self, request: GenerationRequest, context: int | None = None) -> Prompt:
        """The prompt with as many earlier turns as ``context`` tokens, or else the LLM's context, have room for."""
        context = context or self.llm.model.config.max_position_embeddings
        room = context - self.bundle.decoding.max_new_tokens - self.image_length
        question = request.question or self.bundle.question
        return fit_turns(self.template, question, request.turns, self.llm.tokenizer, room)

    def row(self, prompt: Prompt, image_tokens: Tensor) -> Tensor:
        """``[before] [image tokens] [after]`` as embeddings (tokens, hidden)."""
        before, after = tokenise(prompt, self.llm.tokenizer)
        with torch.inference_mode():
            return torch.cat([self.llm.embed(before), image_tokens, self.llm.embed(after)])

    def generated(
        self, done: AcceptedRequest, text: str, *, tokens: int, batch_size: int, started: float, **software: str
    ) -> Generated:
        """The answer to a request, with its provenance; ``started`` is when its generation began (time.monotonic)."""
        text = clean_answer(self.template, text)
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
    _check_room(loaded)
    return loaded


def _check_fit(encoder: Encoder, projector: Projector, llm: Llm) -> int:
    """How many tokens an image has."""
    tokens, width = image_shape(projector, encoder.positions, encoder.channels)
    if width != llm.hidden:
        raise BundleError(f"the projector makes {width} numbers a token, the LLM takes {llm.hidden}")
    return tokens


def _check_room(loaded: Loaded) -> None:
    """A summary that does not fit would fail every study."""
    bundle, context = loaded.bundle, loaded.llm.model.config.max_position_embeddings
    try:
        loaded.prompt(GenerationRequest(b""))
    except InvalidRequest as error:
        raise BundleError(
            f"bundle {bundle.name!r}: its question, {loaded.image_length} tokens of the image and "
            f"{bundle.decoding.max_new_tokens} of an answer do not fit into the LLM's {context}"
        ) from error
