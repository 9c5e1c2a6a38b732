"""A stand-in for Amazon SNS: a key and a certificate of our own, and messages signed the way Amazon documents it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:eu-west-1:123456789012:films"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"
# Written out here, not taken from the code under test: Developer Guide, "Creating the string to sign".
_ORDER = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    "UnsubscribeConfirmation": ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
}


class Signer:
    """Signs like SNS, answers for its certificate, and remembers what it was asked for."""

    def __init__(self, *, days: int = 30) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .sign(self._key, hashes.SHA256())
        )
        self.pem = made.public_bytes(serialization.Encoding.PEM)
        self.asked: list[str] = []
        self.status = 200

    def sign(self, message: dict[str, Any], version: str = "2") -> dict[str, Any]:
        lines = [f"{name}\n{message[name]}\n" for name in _ORDER[message["Type"]] if name in message]
        algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
        signature = self._key.sign("".join(lines).encode(), padding.PKCS1v15(), algorithm)
        return message | {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}

    def notification(self, inner: object, version: str = "2", **changes: Any) -> dict[str, Any]:
        message = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification",
            "Message": json.dumps(inner),
            "Timestamp": "2026-01-02T03:04:05.678Z",
            "SigningCertURL": CERTIFICATE,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        }
        return self.sign(message | changes, version)

    def subscription(self, **changes: Any) -> dict[str, Any]:
        message = {
            "Type": "SubscriptionConfirmation",
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "t",
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe to the topic.",
            "SubscribeURL": CONFIRM,
            "Timestamp": "2026-01-02T03:04:05.678Z",
            "SigningCertURL": CERTIFICATE,
        }
        return self.sign(message | changes)

    def fetch(self, address: str) -> bytes:
        self.asked.append(address)
        return self.pem

    def client(self) -> httpx.Client:
        """An HTTP client that reaches nobody but this signer."""

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(self.status, content=self.fetch(str(request.url)))

        return httpx.Client(transport=httpx.MockTransport(answer))
