"""SeaweedFS's own interfaces, locked: each of its servers asks for a certificate that only this process has.

Master, volume, filer, S3 and admin server talk to each other by HTTP and gRPC over TCP, and by gRPC over sockets in
/tmp. None of them needs a credential by itself: a client that reaches them may read and destroy every object.
Paths below are named by environment variables, which override its security.toml (``weed scaffold -config=security``).
"""

import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.remembered import secret

# The alerts of a server that misses the client's certificate (RFC 8446, section 6.2; the second one is TLS 1.2's).
_REFUSED = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE")
_SECONDS = 10.0


class S3Doors:
    """The one certificate of an S3 server, its own client as well, and an authority that signs nothing else."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory, "SeaweedFS")
        self._certificate = self._authority.issue("node")

    def environment(self) -> dict[str, str]:
        """What locks a server at its start. The keys that sign its tokens are new each time: none outlives 10 s."""
        pair = {"CERT": str(self._certificate.file), "KEY": str(self._certificate.key_file)}
        grpc = [f"GRPC_{part}" for part in ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")]
        http = [f"HTTPS_{part}" for part in ("MASTER", "VOLUME", "FILER", "ADMIN", "CLIENT")]
        tokens = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
        return {
            "WEED_GRPC_CA": str(self._authority.file),
            **{f"WEED_{part}_{kind}": path for part in (*grpc, *http) for kind, path in pair.items()},
            **{f"WEED_{part}_CA": str(self._authority.file) for part in http},
            "WEED_HTTPS_CLIENT_ENABLED": "true",
            **{f"WEED_JWT_{token}_KEY": secret() for token in tokens},
        }

    def client(self) -> ssl.SSLContext:
        """The TLS context of a client that has the certificate."""
        context = ssl.create_default_context(cafile=str(self._authority.file))
        context.load_cert_chain(self._certificate.file, self._certificate.key_file)
        return context

    def check(self, ports: Iterable[int]) -> None:
        """SeaweedFS goes on without TLS when it cannot read a certificate, so each start looks.

        Raises:
            StackError: a port lets in a client without a certificate.
        """
        for port in ports:
            if not asks_for_certificate(port, self._authority.file):
                raise StackError(f"s3: port {port} of SeaweedFS asks for no certificate; it is stopped")


def asks_for_certificate(port: int, ca_file: Path) -> bool:
    """True if a server that this authority vouches for turns away a client that has no certificate."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2", "http/1.1"])  # gRPC turns away a client that does not offer the first
    try:
        with (
            socket.create_connection(("127.0.0.1", port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.recv(1)  # in TLS 1.3 the refusal comes after the client's part is done
    except ssl.SSLError as error:
        return error.reason in _REFUSED
    return False
