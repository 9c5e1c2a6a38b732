"""Is an SNS message genuine? (Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS messages")

A message names the certificate its signature is to be checked with, and a subscription names the address that confirms
it. The sender chose both addresses. So only hosts of Amazon SNS are asked, and a confirmation only for a topic that was
configured and after the signature held.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate, load_pem_x509_certificate

from xraygpt_core.errors import InvalidRequest, Unauthorised, Unavailable
from xraygpt_core.s3_events.hints import Message, text

Kind = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]

_AMAZON = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?")
_PATH = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,80}\.pem")
# What is signed, in this order; a member that is missing is left out.
_SIGNED: dict[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]
# Version 1 signs with SHA-1 and is still the default of a topic: the certificate's host and the topic also show
# where it comes from, and its content is only a hint.
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
_OTHER_TOPIC = "the message's TopicArn is none of XRAYGPT_SNS_TOPIC_ARNS"


class Topics:
    """The topics whose messages are accepted.

    Args:
        arns: of the topics; other topics are refused.
        host: the only host of certificates and confirmations; None means Amazon's, ``sns.<region>.amazonaws.com``.
        certificate: fetches a PEM certificate from an address that was checked.
    """

    def __init__(self, arns: Collection[str], host: str | None, certificate: Callable[[str], bytes]) -> None:
        self._arns = frozenset(arns)
        self._host = host
        self._certificate = certificate

    def check(self, message: Message) -> Kind:
        """What kind of message it is, if it is genuine.

        Raises:
            InvalidRequest: it is no SNS message. Unauthorised: another topic, another host, or a wrong signature.
            Unavailable: the certificate could not be fetched.
        """
        kind = text(message, "Type")
        if kind not in _SIGNED:
            raise InvalidRequest("the SNS message is of an unknown Type")
        if text(message, "TopicArn") not in self._arns:
            raise Unauthorised(_OTHER_TOPIC)
        address = text(message, "SigningCertURL")
        if not self._is_sns(address) or not _PATH.fullmatch(urlsplit(address).path) or urlsplit(address).query:
            raise Unauthorised("SigningCertURL does not lead to Amazon SNS")
        _verify(message, kind, _public_key(self._certificate(address)))
        return kind  # type: ignore[return-value]  # it is one of the keys of _SIGNED

    def confirmation(self, message: Message) -> str:
        """The address that confirms a subscription, of a message that :meth:`check` let through.

        Raises:
            Unauthorised: it leads elsewhere, or confirms something else.
        """
        address = text(message, "SubscribeURL")
        asked = parse_qs(urlsplit(address).query)
        says_so = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [message["TopicArn"]]
        if not self._is_sns(address) or urlsplit(address).path not in ("", "/") or not says_so:
            raise Unauthorised("SubscribeURL does not confirm this topic at Amazon SNS")
        return address

    def _is_sns(self, address: str) -> bool:
        try:
            where = urlsplit(address)
            plain = where.port in (None, 443) and where.username is None and where.password is None
        except ValueError:
            return False
        if not plain or where.scheme != "https" or where.hostname is None or not address.isprintable():
            return False
        return where.hostname == self._host if self._host else _AMAZON.fullmatch(where.hostname) is not None


def from_queue(arns: Collection[str]) -> Callable[[Message], str]:
    """Opens SNS messages out of a queue. The queue's policy restricts its writers, so they need no signature.

    Args:
        arns: of the topics that are meant to write to it; empty: any.
    """

    def opened(message: Message) -> str:
        if text(message, "Type") != "Notification":
            raise InvalidRequest("the subscription of a queue is confirmed by its owner, not by this service")
        if arns and text(message, "TopicArn") not in arns:
            raise Unauthorised(_OTHER_TOPIC)
        return text(message, "Message")

    return opened


def _public_key(pem: bytes) -> RSAPublicKey:
    try:
        certificate: Certificate = load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Unavailable("the certificate of Amazon SNS cannot be read") from None
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise Unauthorised("the certificate of the signature is not valid today")
    if not isinstance(key, RSAPublicKey):
        raise Unauthorised("the certificate of the signature holds no RSA key")
    return key


def _verify(message: Message, kind: str, key: RSAPublicKey) -> None:
    algorithm = _HASHES.get(str(message.get("SignatureVersion")))
    if algorithm is None:
        raise Unauthorised("the message has a SignatureVersion other than 1 and 2")
    try:
        signature = base64.b64decode(text(message, "Signature"), validate=True)
        key.verify(signature, signed_text(message, kind), PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError):  # also characters that cannot be encoded
        raise Unauthorised("the signature of the message does not hold") from None


def signed_text(message: Message, kind: str) -> bytes:
    """What the signature is about: the name and the value of each signed member, a line each."""
    members = [name for name in _SIGNED[kind] if name in message]
    return "".join(f"{name}\n{text(message, name)}\n" for name in members).encode()
