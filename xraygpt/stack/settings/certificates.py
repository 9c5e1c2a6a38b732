"""A certificate authority of our own, one per directory, and the certificates it signs (RFC 5280)."""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xraygpt.stack.settings.remembered import replace_file

LOCAL = ("localhost", "127.0.0.1", "::1")
CA_DAYS = 3650
DAYS = 800  # more than 825 some clients refuse
RENEWED_DAYS = 400  # looked at on every start: a stack that runs for a year is not caught by the end
PUBLIC_MODE, PRIVATE_MODE = 0o644, 0o600


@dataclass(frozen=True)
class Certificate:
    """Two PEM files: the certificate, and its private key (PKCS #8, mode 0600)."""

    file: Path
    key_file: Path


class Authority:
    """Signs for servers and clients that trust it and nothing else.

    A reader of its directory can pose as any of them, so its mode is 0700. Clients need ``file`` alone.
    """

    def __init__(self, directory: Path, name: str = "XrayGPT") -> None:
        self.directory = directory
        self.file = directory / "ca.crt"
        self._key_file = directory / "ca.key"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = _pair(self.file, self._key_file)
        if kept is None or _days_left(kept[0]) < DAYS:  # it must outlive what it signs
            kept = _authority(name)
            _write_pair(Certificate(self.file, self._key_file), *kept)
        self._certificate, self._key = kept

    def issue(self, name: str, hosts: Sequence[str] = LOCAL, *, directory: Path | None = None) -> Certificate:
        """The certificate ``<name>.crt`` with ``<name>.key``, for servers and clients alike; the kept one while it is
        good for more than RENEWED_DAYS.

        Args:
            name: its file name and common name.
            hosts: host names and addresses it speaks for.
            directory: where the files go; None: beside the authority's own.
        """
        place = directory or self.directory
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        issued = Certificate(place / f"{name}.crt", place / f"{name}.key")
        kept = _pair(issued.file, issued.key_file)
        if kept is None or not self._still_good(kept[0], hosts):
            key = ec.generate_private_key(ec.SECP256R1())
            _write_pair(issued, self._signed(name, key.public_key(), hosts), key)
        return issued

    def _still_good(self, certificate: x509.Certificate, hosts: Sequence[str]) -> bool:
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (InvalidSignature, ValueError, TypeError):  # an authority before this one signed it
            return False
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return list(names) == [_general(host) for host in hosts] and _days_left(certificate) > RENEWED_DAYS

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, hosts: Sequence[str]) -> x509.Certificate:
        builder = _builder(_named(name), self._certificate.subject, key, DAYS)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage(usages), False),
            (x509.SubjectAlternativeName([_general(host) for host in hosts]), False),
            (authority, False),
        ):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())


def _authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(f"{name} {secrets.token_hex(4)}")  # two of them never share a name
    builder = _builder(subject, subject, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of other machines may be behind
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _days_left(certificate: x509.Certificate) -> float:
    return (certificate.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)


def _pair(file: Path, key_file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """What the files hold; None if one is missing, broken, or not the other's (a write was cut off between them)."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _write_pair(files: Certificate, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(files.key_file, private, PRIVATE_MODE)
    replace_file(files.file, certificate.public_bytes(serialization.Encoding.PEM), PUBLIC_MODE)
