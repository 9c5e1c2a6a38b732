"""A small S3 of our own, over real connections, that obeys, or misbehaves in a way a test chose."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.loopback import KeepAliveHandler, LoopbackServer, answering


@dataclass
class FakeS3:
    """Buckets as dicts; ``status`` makes every request fail, ``lost`` bytes are missing at the end of a body."""

    buckets: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"source": {}, "derived": {}})
    status: int | None = None
    lost: int = 0
    bucket_code: str = "NoSuchBucket"
    puts: int = 0
    url: str = ""


def etag_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class _Handler(KeepAliveHandler):
    @property
    def fake(self) -> FakeS3:
        known: FakeS3 = self.server.state
        return known

    def fail(self, status: int, code: str) -> None:
        self.send(status, f"<Error><Code>{code}</Code><Message>{self.path}</Message></Error>".encode())

    def serve(self) -> None:
        body = self.body()
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        if self.fake.status:
            self.fail(self.fake.status, "Broken")
        elif bucket not in self.fake.buckets:
            self.fail(404, self.fake.bucket_code)
        elif not key:
            self.send(200) if self.command == "HEAD" else self.listing(self.fake.buckets[bucket], parse_qs(parts.query))
        else:
            self.object(self.fake.buckets[bucket], key, body)

    do_GET = do_HEAD = do_PUT = do_DELETE = serve

    def object(self, bucket: dict[str, bytes], key: str, body: bytes) -> None:
        if self.command == "PUT":
            self.fake.puts += 1
            bucket[key] = body
            self.send(200, headers={"ETag": f'"{etag_of(body)}"'})
        elif self.command == "DELETE":
            bucket.pop(key, None)
            self.send(204)
        elif key not in bucket:
            self.fail(404, "NoSuchKey")
        elif self.headers.get("If-Match", f'"{etag_of(bucket[key])}"') != f'"{etag_of(bucket[key])}"':
            self.fail(412, "PreconditionFailed")
        else:
            data = bucket[key]
            self.send(
                200,
                data[: len(data) - self.fake.lost],
                {"ETag": f'"{etag_of(data)}"', "Content-Length": str(len(data))},
            )
            self.close_connection = bool(self.fake.lost)

    def listing(self, bucket: dict[str, bytes], query: dict[str, list[str]]) -> None:
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = [key for key in sorted(bucket) if key.startswith(query.get("prefix", [""])[0]) and key > after]
        items = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified>"
            f"<ETag>&quot;{etag_of(bucket[key])}&quot;</ETag><Size>{len(bucket[key])}</Size></Contents>"
            for key in keys[:2]
        )
        more = len(keys) > 2
        token = f"<NextContinuationToken>{keys[1]}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        self.send(200, text.encode(), {"Content-Type": "application/xml"})


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """The server, listening on loopback."""
    made = FakeS3()
    with answering(LoopbackServer(_Handler, made)) as server:
        made.url = server.url
        yield made
