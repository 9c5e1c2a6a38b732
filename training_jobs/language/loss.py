"""How likely a language model finds what assistants said: a module of its own, so that it can be sharded as one."""

from collections.abc import Sequence

from torch import Tensor, nn

from training_jobs.learning.objective import Passage, passage_loss
from xraygpt_core.model.llm import Llm


class DialogueLoss(nn.Module):
    """The summed cross-entropy of passages' labels, and what went into it."""

    def __init__(self, llm: Llm) -> None:
        super().__init__()
        self._llm = llm
        self.model = llm.model

    def forward(self, passages: Sequence[Passage]) -> tuple[Tensor, int, tuple[str, ...], tuple[str, ...]]:
        """As :class:`training_jobs.learning.loss.Loss`, in a form whose tensor a sharded module finds."""
        loss = passage_loss(self._llm, passages)
        return loss.total, loss.count, loss.samples, loss.skipped

    # what accelerate asks a model for, to cut it where it should be cut

    @property
    def _no_split_modules(self) -> list[str]:
        return list(self.model._no_split_modules or ())

    def get_input_embeddings(self) -> nn.Module:
        embeddings: nn.Module = self.model.get_input_embeddings()
        return embeddings

    def get_output_embeddings(self) -> nn.Module:
        head: nn.Module = self.model.get_output_embeddings()
        return head
