"""Requests to Amazon SNS: for certificates, and to confirm a subscription.

Both addresses come from a message, so :class:`Topics` checks them first; no redirect is followed.
"""

import logging
from collections.abc import Callable
from threading import Lock

import httpx

from xraygpt_core.errors import Unauthorised, Unavailable
from xraygpt_core.s3_events.hints import Message
from xraygpt_core.s3_events.sns import Kind, Topics
from xraygpt_core.settings import Settings

log = logging.getLogger(__name__)

_LARGEST = 64 << 10
_MOST_CERTIFICATES = 32  # a region has one at a time


def _client() -> httpx.Client:
    return httpx.Client(timeout=5.0, follow_redirects=False)


class Sns:
    """The client of Amazon SNS.

    Args:
        client: makes an HTTP client; called once per certificate, so rarely.
    """

    def __init__(self, settings: Settings, client: Callable[[], httpx.Client] = _client) -> None:
        self._topics = Topics(settings.sns_topic_arns, settings.sns_host, self._certificate)
        self._client = client
        self._certificates: dict[str, bytes] = {}
        self._lock = Lock()

    def check(self, message: Message) -> Kind:
        """:meth:`Topics.check`."""
        return self._topics.check(message)

    def confirm(self, message: Message) -> None:
        """Confirm the subscription that a checked message asks for.

        Raises:
            Unauthorised: it asks for something else. Unavailable: Amazon SNS does not answer; it will ask again.
        """
        self._fetch(self._topics.confirmation(message))
        log.info("subscribed to a topic of XRAYGPT_SNS_TOPIC_ARNS")

    def _certificate(self, address: str) -> bytes:
        found = self._certificates.get(address)
        if found is None:
            found = self._fetch(address)
            with self._lock:
                if len(self._certificates) >= _MOST_CERTIFICATES:
                    self._certificates.clear()
                self._certificates[address] = found
        return found

    def _fetch(self, address: str) -> bytes:
        taken = b""
        try:
            with self._client() as client, client.stream("GET", address) as answer:
                for chunk in answer.iter_bytes(_LARGEST):
                    taken += chunk
                    if len(taken) > _LARGEST:
                        raise Unauthorised("Amazon SNS answered with more than a certificate or a confirmation")
        except httpx.HTTPError as error:
            raise Unavailable(f"Amazon SNS does not answer ({type(error).__name__})") from None
        if answer.is_server_error:
            raise Unavailable(f"Amazon SNS answers {answer.status_code}")
        if not answer.is_success:
            raise Unauthorised(f"Amazon SNS knows nothing of what the message refers to ({answer.status_code})")
        return taken
