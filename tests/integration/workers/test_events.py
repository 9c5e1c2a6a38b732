"""The poller of the event queue, with moto's SQS, SNS and EventBridge: nothing is deleted before it is committed."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from tests.support.aws_tools import Aws, started
from tests.support.lossy_proxy import LossyProxy
from tests.support.worker_bench import Bench, eventually
from workers.events import Poller
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.db import libpq_url
from xraygpt_core.errors import ConfigurationError, Unavailable
from xraygpt_core.ledger.transaction import open_ledger
from xraygpt_core.metrics import SQS_MESSAGES
from xraygpt_core.settings import Settings
from xraygpt_core.sqs import MessageQueue

AWKWARD = "in/DOE JANE+ü%41&.dcm"
IMAGES = "SELECT count(*) FROM images"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with started() as server:
        yield server


@pytest.fixture
def polled(bench: Bench, aws: Aws) -> Callable[..., Poller]:
    """A poller of a queue."""
    queues: list[MessageQueue] = []

    def make(queue_url: str, **changes: Any) -> Poller:
        settings = bench.settings.model_copy(update=_setting(aws, queue_url, hidden=60) | changes)
        queues.append(MessageQueue(settings))
        context = bench.context
        object.__setattr__(context, "settings", settings)
        return Poller(context, queues[-1])

    yield make  # type: ignore[misc]
    for queue in queues:
        queue.close()


def _setting(aws: Aws, queue_url: str, *, hidden: int) -> dict[str, Any]:
    """``hidden``: for so many seconds nobody else is given what somebody took."""
    return {
        "sqs_queue_url": queue_url,
        "sqs_endpoint_url": aws.url,
        "sqs_wait_seconds": 1,
        "sqs_visibility_seconds": hidden,
    }


def event(bucket: str, *keys: str, etag: str | None = "abc") -> str:
    items = [{"key": key} | ({"eTag": etag} if etag else {}) for key in keys]
    named = [{"bucket": {"name": bucket}, "object": item} for item in items]
    return json.dumps(
        {"Records": [{"eventVersion": "2.6", "eventName": "ObjectCreated:Put", "s3": s3} for s3 in named]}
    )


def through(settings: Settings, proxy: LossyProxy) -> Settings:
    """The same database behind a proxy."""
    before, _, name = settings.database_url.get_secret_value().rpartition("/")
    url = f"{before.rpartition(':')[0]}:{proxy.port}/{name}"
    return settings.model_copy(update={"database_url": SecretStr(url)})


def counted(result: str) -> float:
    return float(SQS_MESSAGES.labels(result)._value.get())


def poll_until(poller: Poller, reached: Callable[[], bool]) -> None:
    """Poll until this is true."""
    thread = threading.Thread(target=poller.run)
    thread.start()
    try:
        while not reached():
            assert thread.is_alive()
    finally:
        poller.stop()
        thread.join()


def until_aside(poller: Poller, aws: Aws, queue_url: str, aside: str, count: int) -> None:
    """Poll until so many messages were put aside; meanwhile none is hidden from whoever asks again."""

    def reached() -> bool:
        aws.show_again(queue_url)
        return aws.waiting(aside) == count

    poll_until(poller, reached)


def empty(poller: Poller, aws: Aws, queue_url: str) -> None:
    """Poll until the queue is empty."""
    poll_until(poller, lambda: aws.waiting(queue_url) == 0)


@pytest.mark.parametrize("way", ["directly", "by_topic", "by_topic_raw", "by_eventbridge"])
def test_an_upload_is_registered_whichever_way_the_bucket_tells_the_queue(
    bench: Bench, aws: Aws, polled: Callable[..., Poller], way: str
) -> None:
    bucket, queue = bench.settings.bucket, aws.queue()
    aws.s3.create_bucket(Bucket=bucket)
    changes: dict[str, Any] = {}
    match way:
        case "directly":
            aws.tell_directly(bucket, queue)
        case "by_eventbridge":
            aws.tell_by_eventbridge(bucket, queue)
        case _:
            changes["sns_topic_arns"] = (aws.tell_by_topic(bucket, queue, raw=way.endswith("raw")),)
    aws.s3.put_object(Bucket=bucket, Key=AWKWARD, Body=b"film")
    etag = bench.upload(AWKWARD, b"film").etag  # moto's EventBridge misspells it, so the bucket is asked
    empty(polled(queue, **changes), aws, queue)
    assert bench.rows("SELECT bucket, key, etag FROM object_keys") == [{"bucket": bucket, "key": AWKWARD, "etag": etag}]
    assert bench.value("SELECT count(*) FROM jobs WHERE kind = 'ingest' AND state = 'queued'") == 1


def test_a_topic_nobody_named_is_left_to_the_queue(bench: Bench, aws: Aws, polled: Callable[..., Poller]) -> None:
    queue, aside = aws.redriven(2)
    envelope = {"Type": "Notification", "TopicArn": "arn:other", "Message": event(bench.settings.bucket, "a")}
    aws.send(queue, json.dumps(envelope))
    until_aside(polled(queue, sns_topic_arns=("arn:ours",)), aws, queue, aside, 1)
    assert bench.value(IMAGES) == 0


def test_what_cannot_be_read_is_counted_and_ends_in_the_queues_own_dead_letters(
    bench: Bench, aws: Aws, polled: Callable[..., Poller]
) -> None:
    queue, aside = aws.redriven(2)
    aws.send(queue, "{", "[" * 100_000, event(bench.settings.bucket, "a"), event("b", "%ff"))
    before = counted("poison"), counted("done")
    poll_until(polled(queue), lambda: (counted("poison"), counted("done")) == (before[0] + 3, before[1] + 1))
    until_aside(polled(queue), aws, queue, aside, 3)
    assert bench.value(IMAGES) == 1
    assert (counted("poison"), counted("done")) == (before[0] + 6, before[1] + 1)


def test_a_message_stays_in_the_queue_while_the_database_is_away(
    bench: Bench, aws: Aws, polled: Callable[..., Poller], postgres: Postgres
) -> None:
    queue = aws.queue()
    aws.send(queue, event(bench.settings.bucket, "a"))
    proxy = LossyProxy("127.0.0.1", postgres.port)
    away = open_ledger(through(bench.settings, proxy))
    poller = polled(queue, sqs_visibility_seconds=2)
    object.__setattr__(poller._context, "ledger", away)
    proxy.lose("commit", times=1000)
    with pytest.raises(Unavailable):
        poller.take(poller._queue.receive())
    assert proxy.lost
    assert (aws.waiting(queue), bench.value(IMAGES)) == (1, 0)
    proxy.lose("nothing", times=0)
    empty(poller, aws, queue)
    assert bench.value(IMAGES) == 1
    away.close()
    proxy.close()


def test_what_was_committed_before_a_service_went_away_is_deleted(
    bench: Bench, aws: Aws, polled: Callable[..., Poller]
) -> None:
    queue = aws.queue()
    aws.send(queue, event(bench.settings.bucket, "a"), event(bench.settings.bucket, "b", etag=None))
    nowhere = bench.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    poller = polled(queue)
    object.__setattr__(poller._context, "store", type(bench.store)(nowhere))
    messages = sorted(poller._queue.receive(), key=lambda taken: "eTag" not in taken.body)
    with pytest.raises(Unavailable):
        poller.take(messages)
    assert aws.waiting(queue) == 1
    assert bench.value(IMAGES) == 1


def test_nobody_else_gets_a_message_while_it_is_worked_on(
    bench: Bench, aws: Aws, polled: Callable[..., Poller]
) -> None:
    queue = aws.queue()
    aws.send(queue, event(bench.settings.bucket, "a"))
    poller = polled(queue, sqs_visibility_seconds=9)
    other = MessageQueue(poller._context.settings)
    with psycopg.connect(libpq_url(bench.settings.database_url.get_secret_value())) as blocker:
        blocker.execute("LOCK TABLE images IN ACCESS EXCLUSIVE MODE")
        taken = poller._queue.receive()
        thread = threading.Thread(target=poller.take, args=(taken,))
        thread.start()
        for _ in range(2):  # it is hidden for longer, again and again
            hidden = aws.hidden_until(queue)
            eventually(lambda hidden=hidden: aws.hidden_until(queue) > hidden, "the message is hidden for longer")
        assert other.receive() == []
        assert thread.is_alive()
    thread.join()
    other.close()
    assert aws.waiting(queue) == 0
    assert bench.value(IMAGES) == 1


def test_a_queue_without_dead_letters_is_warned_of(
    aws: Aws, polled: Callable[..., Poller], caplog: pytest.LogCaptureFixture
) -> None:
    for queue, warnings in ((aws.queue(), 1), (aws.redriven(3)[0], 0)):
        caplog.clear()
        poller = polled(queue)
        poller.stop()
        poller.run()
        assert len([line for line in caplog.records if "redrive" in line.message]) == warnings


def test_a_queue_that_is_not_there_is_a_matter_of_settings(aws: Aws, polled: Callable[..., Poller]) -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_SQS_QUEUE_URL"):
        polled(f"{aws.url}/123456789012/nowhere").run()


def test_a_queue_that_does_not_answer_at_the_start_is_unavailable(polled: Callable[..., Poller], aws: Aws) -> None:
    with pytest.raises(Unavailable):
        polled(aws.queue(), sqs_endpoint_url="http://127.0.0.1:1").run()


# The process


def environment(aws: Aws, queue_url: str) -> dict[str, str]:
    given = {f"XRAYGPT_{name.upper()}": str(value) for name, value in _setting(aws, queue_url, hidden=2).items()}
    return given | {"AWS_EC2_METADATA_DISABLED": "true"}


def test_no_event_is_lost_when_pollers_are_killed(bench: Bench, aws: Aws) -> None:
    queue, aside = aws.redriven(1000)
    bodies = [event(bench.settings.bucket, f"in/{number}", f"in/{number}b") for number in range(300)]
    aws.send(queue, *bodies)
    for number in range(3):
        victim = bench.start("events", **environment(aws, queue))
        reached = min(600, bench.value(IMAGES) + 50)  # a quick one does more before it is killed
        bench.eventually(lambda reached=reached: bench.value(IMAGES) >= reached, f"{reached} images")
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        if number == 1:
            aws.send(queue, *bodies[:20])  # some come twice
    last = bench.start("events", **environment(aws, queue))
    bench.eventually(lambda: aws.waiting(queue) == 0, "an empty queue")
    last.send_signal(signal.SIGTERM)
    assert last.wait(120) == 0
    assert bench.value(IMAGES) == 600
    assert bench.value("SELECT count(DISTINCT key) FROM object_keys") == 600
    assert aws.waiting(aside) == 0
    assert "in/" not in "".join(path.read_text() for path in bench.directory.glob("*.log"))


def test_without_a_queue_it_says_what_is_missing(bench: Bench) -> None:
    assert bench.start("events").wait(120) == 1
    assert "XRAYGPT_SQS_QUEUE_URL is not set" in bench.log()


def test_the_key_of_a_reader_is_no_key_of_the_queue(bench: Bench) -> None:
    """Its credentials come from where S3's come from: one identity per process."""
    settings = bench.settings.model_copy(
        update={"sqs_queue_url": "http://127.0.0.1:1/q", "s3_access_key": SecretStr("mine")}
    )
    queue = MessageQueue(settings)
    assert queue._client._request_signer._credentials.access_key == "mine"
    queue.close()
