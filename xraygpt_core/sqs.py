"""A queue of Amazon SQS: a message that was received is hidden for a while, and returns unless it is deleted.

Messages name objects, and those may name patients: no error of this module repeats one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from xraygpt_core.errors import ConfigurationError, Unavailable
from xraygpt_core.settings import Settings

_BATCH = 10  # of every operation of SQS
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"})

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class QueueMessage:
    """A message that is ours until its visibility timeout ends. ``receive_count`` includes this time."""

    handle: str
    body: str
    receive_count: int


class MessageQueue:
    """The queue of ``XRAYGPT_SQS_QUEUE_URL``. Safe for many threads.

    Raises:
        ConfigurationError: there is no such queue. Unavailable: it does not answer. So does every call.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.sqs_queue_url is None:
            raise ConfigurationError("XRAYGPT_SQS_QUEUE_URL is not set, so there is no queue to take events from")
        self._queue = {"QueueUrl": settings.sqs_queue_url}
        self._wait = settings.sqs_wait_seconds
        self.visibility = settings.sqs_visibility_seconds
        self._client = _client(settings)

    def check(self) -> bool:
        """Does the queue put messages aside that cannot be read? Otherwise they return for ever."""
        answer = _translated(lambda: self._client.get_queue_attributes(**self._queue, AttributeNames=["RedrivePolicy"]))
        return "RedrivePolicy" in answer.get("Attributes", {})

    def receive(self) -> list[QueueMessage]:
        """Up to ten messages; waits for the first (long polling)."""
        answer = _translated(
            lambda: self._client.receive_message(
                **self._queue,
                MaxNumberOfMessages=_BATCH,
                WaitTimeSeconds=self._wait,
                VisibilityTimeout=self.visibility,
                AttributeNames=["ApproximateReceiveCount"],
            )
        )
        return [_message(one) for one in answer.get("Messages", [])]

    def delete(self, messages: Sequence[QueueMessage]) -> int:
        """Delete messages that are done; how many SQS deleted. The others return, which is harmless."""
        entries = [{"Id": str(place), "ReceiptHandle": one.handle} for place, one in enumerate(messages)]
        if not entries:
            return 0
        answer = _translated(lambda: self._client.delete_message_batch(**self._queue, Entries=entries))
        return len(answer.get("Successful", []))

    def extend(self, messages: Sequence[QueueMessage]) -> None:
        """Hide these for another visibility timeout from now on."""
        entries = [
            {"Id": str(place), "ReceiptHandle": one.handle, "VisibilityTimeout": self.visibility}
            for place, one in enumerate(messages)
        ]
        if entries:
            _translated(lambda: self._client.change_message_visibility_batch(**self._queue, Entries=entries))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def _message(received: dict[str, Any]) -> QueueMessage:
    count = received.get("Attributes", {}).get("ApproximateReceiveCount", 1)
    return QueueMessage(received["ReceiptHandle"], received["Body"], int(count))


def _client(settings: Settings) -> Any:
    keys = (settings.s3_access_key, settings.s3_secret_key)
    access_key, secret_key = (key.get_secret_value() if key else None for key in keys)
    return boto3.session.Session().client(
        "sqs",
        region_name=settings.s3_region,
        endpoint_url=settings.sqs_endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 1}),
    )


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in _NO_QUEUE:
            raise ConfigurationError("XRAYGPT_SQS_QUEUE_URL: there is no such queue") from None
        raise Unavailable(f"the queue refuses ({code})") from None
    except (BotoCoreError, ConnectionError, TimeoutError) as error:
        raise Unavailable(f"the queue does not answer ({type(error).__name__})") from None
