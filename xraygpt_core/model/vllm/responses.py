"""What a vLLM server answers to ``/v1/completions``."""

import httpx

from xraygpt_core.model.backend import RequestFailed
from xraygpt_core.model.remote.health import BROKE, REFUSALS, AnswerFailed, ServerFailed
from xraygpt_core.model.remote.stream import Choice, StreamEvent

_ADVICE = {
    401: ": XRAYGPT_VLLM_KEY must be the key it was started with",
    403: ": XRAYGPT_VLLM_KEY must be the key it was started with, and a proxy before it must let us pass",
    404: ": XRAYGPT_VLLM_URL must be the address under which vLLM has /metrics and /v1",
}


class _Choice(Choice):
    text: str


class Event(StreamEvent[_Choice]):
    """One event of a streamed completion."""

    @property
    def text(self) -> str:
        """What it adds to the answer."""
        return "".join(choice.text for choice in self.choices)

    @property
    def says(self) -> bool:
        """Does it add to the text?"""
        return bool(self.text)


def check_status(response: httpx.Response) -> None:
    """Go on only with an answer that is one.

    Raises:
        RequestFailed: the server refuses the body it was sent.
        ServerFailed: it answers anything else but success.
    """
    if response.is_success:
        return
    status, request = response.status_code, response.request
    if request.method == "POST" and status in REFUSALS:
        raise RequestFailed(f"vLLM refuses the request ({status})")
    failed = AnswerFailed if request.method == "POST" and status == BROKE else ServerFailed
    raise failed(f"answers {status} to {request.url.path}{_ADVICE.get(status, '')}")
