"""What a step asks and what it wants to hear: prompt, question, indication, and the wording of each text."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training_jobs.learning.objective import Exchange
from training_jobs.stages.paraphrase import paraphrase
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.prompt import QUESTIONS, Template, template_named
from xraygpt_core.training.config import Config, Text
from xraygpt_core.training.pairs import Pair

_QUESTION, _PARAPHRASE = 1, 2  # streams of random numbers


@dataclass(frozen=True)
class Wording:
    """The words of a run: a function of settings, step and pair alone, so that a resumed run has the same."""

    template: Template
    stop: str
    question: str
    text: Text
    seed: int

    def exchanges(self, step: int, pairs: Sequence[Pair]) -> list[Exchange]:
        """What is asked about each pair of a step, and what is wanted; all of a step are asked the same.

        The pairs may be those of one process: no other's are needed.
        """
        asked = self._asked(step)
        return [Exchange(self._question(asked, pair), self._wanted(step, pair), pair_id=pair.pair_id) for pair in pairs]

    def plain(self, pairs: Sequence[Pair]) -> list[Exchange]:
        """The usual question and the texts as they are: for the held-out loss, where every time is asked the same."""
        asked = self.question if self.text.prompts != "none" else None
        return [Exchange(self._question(asked, pair), pair.text or "", pair_id=pair.pair_id) for pair in pairs]

    def _asked(self, step: int) -> str | None:
        """One of fifteen for the whole batch, as the released code draws it (mini_gpt4.py: random.choice); or nothing:
        the text follows the image.
        """
        if self.text.prompts != "many":
            return self.question if self.text.prompts == "bundle" else None
        return QUESTIONS[int(np.random.default_rng([self.seed, step, _QUESTION]).integers(len(QUESTIONS)))]

    def _question(self, asked: str | None, pair: Pair) -> str | None:
        if asked is None:
            return None
        if pair.question is not None:
            return pair.question
        if not (self.text.indication and pair.indication):
            return asked
        return with_indication(asked, pair.indication)

    def _wanted(self, step: int, pair: Pair) -> str:
        text = pair.text or ""
        if not self.text.paraphrases:
            return text
        rng = np.random.default_rng([self.seed, step, zlib.crc32(pair.pair_id.encode()), _PARAPHRASE])
        if rng.random() >= self.text.paraphrases:
            return text
        if pair.paraphrases:
            return pair.paraphrases[int(rng.integers(len(pair.paraphrases)))]
        return paraphrase(text, rng)


def wording_of(base: Bundle, config: Config) -> Wording:
    """The wording of a run on this base.

    Raises:
        BundleError: the base names a template that there is not.
    """
    template, stop = template_named(base.template), end_symbol(base, config)
    return Wording(template, stop, base.question, config.text, config.seed)


def end_symbol(base: Bundle, config: Config) -> str:
    """What ends a text: the configuration's, or else the base's first stop sequence."""
    return base.stop[0] if config.text.end_symbol is None else config.text.end_symbol


def with_indication(question: str, indication: str) -> str:
    """MAIRA-1's wording, as LLaVA-Rad's code has it (llava/utils.py)."""
    return f"{question.rstrip(' .?')} given the following indication: {' '.join(indication.split())}"
