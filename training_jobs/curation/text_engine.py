"""Our own engine without a picture: a bundle's language model answers prompts, many at once.

The engine's rows are [beginning] [image tokens] [question]; here an image has no tokens. Encoder and projector are not
loaded, so a base without a projector will do.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training_jobs.curation.rewriters import Answer, Stopping, Unanswered
from xraygpt_core.errors import InvalidRequest, TrainingError, Unavailable
from xraygpt_core.model.backend import DeviceLost, Generated, GenerationRequest, RequestFailed, pending_future
from xraygpt_core.model.bundle import Bundle, Decoding, check
from xraygpt_core.model.engine.engine import LOOKAHEAD, PROMPT_TOKENS, own, use_device
from xraygpt_core.model.engine.loop import Loop
from xraygpt_core.model.engine.rows import EngineRequest
from xraygpt_core.model.engine.runner import Runner, Setting
from xraygpt_core.model.engine.scheduler import Ticket
from xraygpt_core.model.engine.text import Endings
from xraygpt_core.model.llm import load_llm, pick_dtype
from xraygpt_core.model.prompt import Template, clean_answer, render, template_named, tokenise

_PROMPT = 1024  # tokens a slot has for a prompt
_IMAGE = re.compile(r", give the following medical scan|<Img>|ImageContent|</Img>")


@dataclass(frozen=True)
class _NoImage:
    """Images of no tokens."""

    hidden: int
    device: torch.device
    dtype: torch.dtype

    def features(self, images: Sequence[Tensor]) -> Tensor:
        return torch.zeros(len(images), 0, self.hidden, device=self.device, dtype=self.dtype)

    def image_tokens(self, features: Tensor) -> Tensor:
        return features


class TextEngine:
    """A bundle's LLM as a :class:`training_jobs.curation.rewriters.Model`.

    Args:
        template: the words around a prompt; None takes the bundle's.

    Raises:
        BundleError: the bundle is incomplete, or its LLM does not fit into memory.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        batch_size: int = 16,
        max_new_tokens: int = 384,
        memory: int | None = None,
        template: Template | None = None,
    ) -> None:
        if bundle.files:  # a language model's folder alone has no hashes
            check(bundle)
        self.name = f"bundle {bundle.name} {bundle.sha256[:12]}"
        self._tokenising = threading.Lock()
        self._template = without_image(template or template_named(bundle.template))

        def take() -> Loop:
            where = use_device(device)
            self._llm = llm = load_llm(bundle.llm, bundle.adapter, where, pick_dtype(where, bundle.dtype))
            context = llm.model.config.max_position_embeddings
            self._longest = min(max_new_tokens, context // 2)
            before, _ = tokenise(render(self._template, ""), llm.tokenizer)
            summary = min(context, len(before) + _PROMPT + self._longest)
            decoding = Decoding(max_new_tokens=self._longest)
            setting = Setting(before, summary, context, decoding, weights=bundle.weights, ahead=LOOKAHEAD[where.type])
            vision = _NoImage(llm.hidden, where, llm.model.dtype)
            self._runner = Runner(llm.model, vision, setting, batch_size, memory=memory)
            self._endings = Endings(llm.tokenizer, llm.ends, bundle.stop)
            return Loop(
                self._runner,
                self._endings,
                self._generated,
                prompt_tokens=PROMPT_TOKENS[where.type],
                lookahead=LOOKAHEAD[where.type],
            )

        self._loop = own(take)

    def answer(self, system: str, prompt: str) -> Answer:
        """See :class:`Model`."""
        try:
            accepted = self._accept(f"{system}\n\n{prompt}")
            tokens = accepted.cached + accepted.longest
            self._loop.add(Ticket(accepted, 1, len(accepted.after), tokens, images=0))
            done = accepted.future.result()
        except (InvalidRequest, RequestFailed) as error:
            raise Unanswered(f"the model does not take this report: {error}") from error
        except Unavailable as error:
            raise Stopping(str(error)) from error
        except DeviceLost as error:
            raise TrainingError(f"the device is lost: {error}; start the same command again to go on") from error
        return Answer(done.text, len(accepted.after), done.tokens)

    def close(self) -> None:
        """Finish what runs, and end the thread."""
        self._loop.close()

    def _accept(self, question: str) -> EngineRequest:
        prompt = render(self._template, question)
        with self._tokenising:
            before, after = tokenise(prompt, self._llm.tokenizer)
        if len(before) + len(after) + self._longest > self._runner.context:
            raise InvalidRequest(f"{len(after)} tokens do not fit")
        return EngineRequest(
            request=GenerationRequest(b""),
            prompt=prompt,
            future=pending_future(),
            image=torch.empty(0),
            after=after,
            cached=len(before) + len(after),
            longest=self._longest,
        )

    def _generated(self, done: EngineRequest, batch_size: int) -> Generated:
        return Generated(
            text=clean_answer(self._template, self._endings.text(done.run.ids)),
            findings=None,
            impression=None,
            prompt="",
            template=self._template.name,
            decoding={},
            seed=None,
            tokens=len(done.run.ids),
            batch_size=batch_size,
            waited_seconds=0.0,
            generate_seconds=0.0,
            software={},
        )


def without_image(template: Template) -> Template:
    """The template for a question about no image."""
    return replace(template, before=_IMAGE.sub("", template.before), first=_IMAGE.sub("", template.first))
