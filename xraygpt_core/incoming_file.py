"""An upload: kept out of memory until it is whole and its hash is right."""

import hashlib
import tempfile
from typing import IO, Self

from xraygpt_core.errors import InvalidRequest, Rejected
from xraygpt_core.states import ReasonCode

_SPOOL = 1 << 20


class IncomingFile:
    """Takes a file's pieces. A context manager: at its end they are gone.

    Args:
        sha256: in hex, which the whole file must have.
        max_bytes: more is refused when it gets there.
    """

    def __init__(self, sha256: str, max_bytes: int) -> None:
        self.sha256 = sha256
        self.size = 0
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115  # it is closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(self, piece: bytes) -> None:
        """The next piece.

        Raises:
            Rejected: TOO_LARGE.
        """
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise Rejected(ReasonCode.TOO_LARGE, f"more than {self._max_bytes} bytes")
        self._digest.update(piece)
        self._file.write(piece)

    def whole(self) -> IO[bytes]:
        """The file, from its beginning.

        Raises:
            InvalidRequest: the bytes do not have this hash.
        """
        if self._digest.hexdigest() != self.sha256:
            raise InvalidRequest("the bytes sent do not have the sha256 in the address")
        self._file.seek(0)
        return self._file
