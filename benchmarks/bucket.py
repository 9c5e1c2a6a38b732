"""A bucket of any number of objects that are computed, not stored: what a listing is measured against.

``python -m benchmarks.bucket KEYS`` prints its URL and serves HEAD of any bucket and ListObjectsV2 with StartAfter,
ContinuationToken and MaxKeys (Amazon S3 API reference). Keys are ``film-0000000000.dcm`` and so on.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_NAME = "film-{:010d}.dcm"
_DIGITS = slice(5, 15)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_ITEM = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"{number:032x}"</ETag><Size>8388608</Size><StorageClass>STANDARD</StorageClass></Contents>'
)


def page(keys: int, query: dict[str, list[str]]) -> str:
    """One page of the listing as XML."""
    after = query.get("continuation-token", query.get("start-after", [""]))[0]
    first = int(after[_DIGITS]) + 1 if after else 0
    end = min(keys, first + min(1000, int(query.get("max-keys", ["1000"])[0])))
    items = "".join(_ITEM.format(key=_NAME.format(number), number=number) for number in range(first, end))
    more = end < keys
    token = f"<NextContinuationToken>{_NAME.format(end - 1)}</NextContinuationToken>" if more else ""
    about = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}<KeyCount>{end - first}</KeyCount>"
    return f"{_HEAD}{about}{items}</ListBucketResult>"


class Handler(BaseHTTPRequestHandler):
    """Answers for the bucket of :attr:`keys` objects."""

    protocol_version = "HTTP/1.1"
    keys = 0

    def do_HEAD(self) -> None:
        self._answer("")

    def do_GET(self) -> None:
        self._answer(page(self.keys, parse_qs(urlsplit(self.path).query)))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> int:
    """Serve until killed."""
    Handler.keys = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
