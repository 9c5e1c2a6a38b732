"""How likely a language model finds what an assistant said: a module of its own, so that it can be sharded as one."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from training_jobs.language.samples import IGNORED, Batch


class DialogueLoss(nn.Module):
    """The summed cross-entropy of a batch's labels.

    The head is applied only where there is a label: of a long dialogue in a vocabulary of 32,000 the logits would be
    the largest tensor by far.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """A scalar; 0, with a gradient of 0, where the batch has no label."""
        llm = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        hidden = llm.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
        following = batch.labels[:, 1:]
        learned = following != IGNORED
        logits = llm.get_output_embeddings()(hidden[:, :-1][learned])
        return functional.cross_entropy(logits.float(), following[learned], reduction="sum")

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
