"""Our own certificate authority: who trusts whom, and when a certificate is made anew."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from xraygpt.stack.settings import certificates
from xraygpt.stack.settings.certificates import Authority, Certificate


def shakes_hands(authority: Authority, server: Certificate, host: str, client: Certificate | None = None) -> None:
    """A TLS connection over a pair of sockets; raises what the client says."""
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    theirs.load_cert_chain(server.file, server.key_file)
    theirs.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    ours = ssl.create_default_context(cafile=str(authority.file))
    ours.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    if client:
        ours.load_cert_chain(client.file, client.key_file)
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            with theirs.wrap_socket(left, server_side=True) as connection:
                connection.sendall(b"welcome")
        except ssl.SSLError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours.wrap_socket(right, server_hostname=host) as connection:
            assert connection.recv(7) == b"welcome"
    finally:
        right.close()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_client_that_trusts_the_authority_trusts_its_servers(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    shakes_hands(authority, authority.issue("server"), host)


def test_a_certificate_speaks_for_the_given_names_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("s3", hosts=("s3",))
    shakes_hands(authority, issued, "s3")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shakes_hands(authority, issued, "localhost")


def test_another_authority_s_certificates_are_refused(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(authority, other.issue("server"), "localhost")
    with pytest.raises(ssl.SSLError):
        shakes_hands(authority, authority.issue("server"), "localhost", client=other.issue("client"))


def test_certificates_stay_until_they_must_be_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Authority(tmp_path).issue("server").file.read_bytes()
    assert Authority(tmp_path).issue("server").file.read_bytes() == first
    monkeypatch.setattr(certificates, "RENEWED_DAYS", certificates.DAYS)
    assert Authority(tmp_path).issue("server").file.read_bytes() != first


def test_other_names_and_another_authority_make_it_anew(tmp_path: Path) -> None:
    first = Authority(tmp_path).issue("server").file.read_bytes()
    other = Authority(tmp_path).issue("server", hosts=("s3",)).file.read_bytes()
    (tmp_path / "ca.crt").unlink()
    assert len({first, other, Authority(tmp_path).issue("server", hosts=("s3",)).file.read_bytes()}) == 3


def test_an_authority_outlives_what_it_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "CA_DAYS", certificates.DAYS - 1)
    old = Authority(tmp_path).file.read_bytes()
    monkeypatch.undo()
    authority = Authority(tmp_path)
    assert authority.file.read_bytes() != old
    ends = x509.load_pem_x509_certificate(authority.file.read_bytes()).not_valid_after_utc
    assert ends > datetime.now(UTC) + timedelta(days=certificates.DAYS)


@pytest.mark.parametrize("broken", ["server.crt", "server.key"])
def test_a_pair_that_was_cut_off_is_made_anew(tmp_path: Path, broken: str) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    other = Authority(tmp_path / "other").issue("server")
    (tmp_path / broken).write_bytes((other.file.parent / broken).read_bytes())
    shakes_hands(authority, authority.issue("server"), "localhost")


def test_private_keys_are_their_owner_s_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("server", directory=tmp_path / "server")
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "server").stat().st_mode & 0o777 == 0o700
    for key in (tmp_path / "ca" / "ca.key", issued.key_file):
        assert key.stat().st_mode & 0o777 == 0o600
