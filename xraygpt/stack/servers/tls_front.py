"""TLS in front of a server that was built without it: the wheels of PostgreSQL and Valkey are.

The server listens on a Unix socket in a directory that is closed to others, and on no port; this process takes TLS on
its port and hands on what comes. Run as
``python -m xraygpt.stack.servers.tls_front PORT SOCKET CERTIFICATE KEY [postgres]`` in the directory of the
socket, whose whole path may be longer than a socket's name may be (108 bytes, unix(7)).

A client of PostgreSQL asks for TLS first (its manual, "SSL Session Encryption"): one that asks gets it, one that goes
on without is cut off.
"""

import asyncio
import contextlib
import ssl
import struct
import sys

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
CHUNK = 2**16
HANDSHAKE_SECONDS = 10.0


class Front:
    """One port that leads to one socket."""

    def __init__(self, socket: str, context: ssl.SSLContext, *, asks_first: bool) -> None:
        self._socket = socket
        self._context = context
        self._asks_first = asks_first

    async def serve(self, port: int) -> None:
        """Until the process is ended."""
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", port)
        async with server:
            await server.serve_forever()

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client: TLS or nothing."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                if self._asks_first:
                    if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                        return
                    writer.write(b"S")
                    await writer.drain()
                await writer.start_tls(self._context)
                behind_reader, behind_writer = await asyncio.open_unix_connection(self._socket)
        except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
            return
        else:
            await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on until one side ends, then end the other."""
    with contextlib.suppress(OSError, ssl.SSLError):
        while block := await reader.read(CHUNK):
            writer.write(block)
            await writer.drain()
    with contextlib.suppress(OSError, ssl.SSLError, RuntimeError):
        writer.close()


def context_of(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, as a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def main(arguments: list[str]) -> None:
    """Serve."""
    port, socket, certificate, key, *more = arguments
    front = Front(socket, context_of(certificate, key), asks_first=more == ["postgres"])
    asyncio.run(front.serve(int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
