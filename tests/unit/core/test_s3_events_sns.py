"""Only genuine SNS messages of our own topics are believed, and no address of anybody's choice is ever asked."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sns_tools import CERTIFICATE, CONFIRM, TOPIC, Signer
from xraygpt_core.errors import InvalidRequest, Unauthorised, Unavailable
from xraygpt_core.s3_events.sns import Topics, from_queue

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def topics(signer: Signer, host: str | None = None) -> Topics:
    signer.asked.clear()
    return Topics([TOPIC], host, signer.fetch)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "ü\nTimestamp\n"}])
def test_a_genuine_notification_is_believed(signer: Signer, version: str, subject: dict[str, str]) -> None:
    assert topics(signer).check(signer.notification({}, version, **subject)) == "Notification"
    assert signer.asked == [CERTIFICATE]


def test_a_notification_without_a_subject_is_believed(signer: Signer) -> None:
    message = signer.notification({})
    del message["Subject"]
    assert topics(signer).check(signer.sign(message)) == "Notification"


def test_a_subscription_is_signed_too(signer: Signer) -> None:
    assert topics(signer).check(signer.subscription()) == "SubscriptionConfirmation"


@pytest.mark.parametrize("member", ["Message", "MessageId", "Subject", "Timestamp"])
def test_a_signed_member_that_was_changed_is_noticed(signer: Signer, member: str) -> None:
    message = signer.notification({})
    with pytest.raises(Unauthorised, match="signature"):
        topics(signer).check(message | {member: message[member] + "x"})


def test_another_key_does_not_sign_for_amazon(signer: Signer) -> None:
    with pytest.raises(Unauthorised, match="signature"):
        topics(signer).check(Signer().notification({}))


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "ü", base64.b64encode(b"x" * 256).decode()])
def test_a_signature_that_is_none_is_refused(signer: Signer, signature: str) -> None:
    with pytest.raises((Unauthorised, InvalidRequest)):
        topics(signer).check(signer.notification({}) | {"Signature": signature})


@pytest.mark.parametrize("version", ["0", "3", "", None, ["2"], {}])
def test_an_unknown_signature_version_is_refused(signer: Signer, version: object) -> None:
    with pytest.raises(Unauthorised, match="SignatureVersion"):
        topics(signer).check(signer.notification({}) | {"SignatureVersion": version})


def test_a_version_cannot_be_swapped_for_the_weaker_one(signer: Signer) -> None:
    with pytest.raises(Unauthorised, match="signature"):
        topics(signer).check(signer.notification({}, "2") | {"SignatureVersion": "1"})


@pytest.mark.parametrize("topic", [TOPIC + "x", TOPIC.replace("films", "others"), "*", TOPIC.upper()])
def test_another_topic_is_refused_before_anything_is_fetched(signer: Signer, topic: str) -> None:
    with pytest.raises(Unauthorised, match="TopicArn"):
        topics(signer).check(signer.notification({}, TopicArn=topic))
    assert signer.asked == []


def test_without_topics_every_message_is_refused(signer: Signer) -> None:
    with pytest.raises(Unauthorised, match="TopicArn"):
        Topics([], None, signer.fetch).check(signer.notification({}))


FOREIGN = [
    "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com.evil.org/SimpleNotificationService-0.pem",
    "https://evil.org/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com@evil.org/SimpleNotificationService-0.pem",
    "https://user@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com:x/SimpleNotificationService-0.pem",
    "https://sns.eu.west.amazonaws.com/SimpleNotificationService-0.pem",
    "https://snsxeu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    "https://bucket.s3.amazonaws.com/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com/bucket/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?next=http://169.254.169.254",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-../x.pem",
    "https://sns.eu-west-1.amazonaws.com\\@evil.org/SimpleNotificationService-0.pem",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem\r\nHost: evil.org",
    "https://[::1]/SimpleNotificationService-0.pem",
    "https://[::1/SimpleNotificationService-0.pem",
    "//sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("address", FOREIGN)
def test_a_certificate_from_elsewhere_is_not_even_fetched(signer: Signer, address: str) -> None:
    with pytest.raises(Unauthorised, match="SigningCertURL"):
        topics(signer).check(signer.notification({}, SigningCertURL=address))
    assert signer.asked == []


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1"])
def test_every_region_has_its_own_host(signer: Signer, region: str) -> None:
    suffix = ".cn" if region.startswith("cn-") else ""
    address = f"https://sns.{region}.amazonaws.com{suffix}/SimpleNotificationService-ab.pem"
    assert topics(signer).check(signer.notification({}, SigningCertURL=address)) == "Notification"


def test_a_configured_host_takes_the_place_of_amazons(signer: Signer) -> None:
    here = topics(signer, "sns.hospital.example")
    address = "https://sns.hospital.example/SimpleNotificationService-ab.pem"
    assert here.check(signer.notification({}, SigningCertURL=address)) == "Notification"
    with pytest.raises(Unauthorised, match="SigningCertURL"):
        here.check(signer.notification({}))


def test_a_certificate_that_is_out_of_date_is_refused() -> None:
    old = Signer(days=-1)
    with pytest.raises(Unauthorised, match="not valid today"):
        topics(old).check(old.notification({}))


def test_what_is_no_certificate_is_refused(signer: Signer) -> None:
    with pytest.raises(Unavailable, match="certificate"):
        Topics([TOPIC], None, lambda _: b"<html>").check(signer.notification({}))


@pytest.mark.parametrize("kind", ["Other", "notification"])
def test_an_unknown_type_is_refused(signer: Signer, kind: str) -> None:
    with pytest.raises(InvalidRequest, match="Type"):
        topics(signer).check(signer.notification({}) | {"Type": kind})


def test_a_subscription_is_confirmed_at_amazon(signer: Signer) -> None:
    assert topics(signer).confirmation(signer.subscription()) == CONFIRM


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("amazonaws.com", "amazonaws.com.evil.org"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        CONFIRM.replace("films", "others"),
        CONFIRM + "&Action=DeleteTopic",
        CONFIRM.replace(".com/?", ".com/path?"),
        CONFIRM.partition("?")[0],
    ],
)
def test_a_subscription_that_leads_elsewhere_is_not_confirmed(signer: Signer, address: str) -> None:
    with pytest.raises(Unauthorised, match="SubscribeURL"):
        topics(signer).confirmation(signer.subscription(SubscribeURL=address))


def test_a_queue_opens_its_messages_without_a_signature() -> None:
    message = {"Type": "Notification", "TopicArn": TOPIC, "Message": "inside"}
    assert from_queue(())(message) == from_queue([TOPIC])(message) == "inside"


def test_a_queue_refuses_topics_it_was_not_told_of() -> None:
    with pytest.raises(Unauthorised, match="TopicArn"):
        from_queue([TOPIC])({"Type": "Notification", "TopicArn": "another", "Message": "inside"})


values = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=3), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(["Type", "TopicArn", "Message", "MessageId", "Subject", "Timestamp", "Signature",
       "SignatureVersion", "SigningCertURL", "SubscribeURL", "Token"]), values, min_size=1))  # fmt: skip
def test_no_changed_message_is_believed(signer: Signer, changes: dict[str, Any]) -> None:
    message = signer.notification({})
    if all(message.get(name) == value for name, value in changes.items()):
        return
    try:
        topics(signer).check(message | changes)
    except (InvalidRequest, Unauthorised):
        return
    # What is not signed may change; the address of the certificate was checked.
    assert {name for name in changes if message.get(name) != changes[name]} <= {"SubscribeURL", "Token"}
