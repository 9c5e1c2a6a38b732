"""Amazon's queues, topics and events as moto's server plays them, in a thread of this process."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import boto3
import moto.sqs.models
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.sqs.models import Message, sqs_backends

REGION = "us-east-1"


class Aws:
    """Clients of one moto server, and the ways a bucket can tell a queue."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.s3, self.sqs, self.sns, self.events = (self._client(name) for name in ("s3", "sqs", "sns", "events"))

    def _client(self, name: str) -> Any:
        return boto3.client(
            name, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def queue(self, **attributes: str) -> str:
        """The URL of a new queue."""
        url: str = self.sqs.create_queue(QueueName=f"q-{uuid4().hex[:8]}", Attributes=attributes)["QueueUrl"]
        return url

    def arn(self, queue_url: str) -> str:
        asked = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        arn: str = asked["Attributes"]["QueueArn"]
        return arn

    def redriven(self, times: int) -> tuple[str, str]:
        """A queue that puts a message aside when it was taken so many times, and the queue it puts it into."""
        aside = self.queue()
        policy = json.dumps({"deadLetterTargetArn": self.arn(aside), "maxReceiveCount": times})
        return self.queue(RedrivePolicy=policy), aside

    def waiting(self, queue_url: str) -> int:
        """Messages in a queue, hidden ones too."""
        return len(self._messages(queue_url))

    def show_again(self, queue_url: str) -> None:
        """End the visibility timeout of every message: nobody need wait for it, and none has to be so short that it
        also ends under somebody who is at work.
        """
        for message in self._messages(queue_url):
            message.visible_at = 0.0

    def hidden_until(self, queue_url: str) -> float:
        """When the last message of a queue is shown again, in milliseconds since 1970."""
        return max(message.visible_at for message in self._messages(queue_url))

    def _messages(self, queue_url: str) -> list[Message]:
        name = queue_url.rpartition("/")[2]
        return list(sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues[name]._messages)

    def send(self, queue_url: str, *bodies: str) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + 10])]
            self.sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)

    def tell_directly(self, bucket: str, queue_url: str) -> None:
        """S3 writes to the queue itself."""
        told = [{"QueueArn": self.arn(queue_url), "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": told}
        )

    def tell_by_topic(self, bucket: str, queue_url: str, *, raw: bool) -> str:
        """S3 publishes to a topic, which writes to the queue."""
        topic: str = self.sns.create_topic(Name=f"t-{uuid4().hex[:8]}")["TopicArn"]
        attributes = {"RawMessageDelivery": str(raw).lower()}
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn(queue_url), Attributes=attributes)
        told = [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": told}
        )
        return topic

    def tell_by_eventbridge(self, bucket: str, queue_url: str) -> None:
        """S3 tells EventBridge, whose rule writes to the queue."""
        rule = f"r-{uuid4().hex[:8]}"
        self.events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.s3"]}), State="ENABLED")
        self.events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": self.arn(queue_url)}])
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )

    def close(self) -> None:
        for client in (self.s3, self.sqs, self.sns, self.events):
            client.close()


@contextmanager
def started() -> Iterator[Aws]:
    """A moto server while the block runs.

    A poller that waits has it look at every message a hundred times a second, each time by a clock made of two dates.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = Aws(f"http://{host}:{port}")
    try:
        with patch.object(moto.sqs.models, "unix_time_millis", lambda: time.time() * 1000):
            yield aws
    finally:
        aws.close()
        server.stop()
