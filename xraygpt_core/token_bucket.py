"""Token buckets, as settings write them: so many at once, then so many a second, minute or hour."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode

_WRITTEN = re.compile(r"(\d{1,9})\s*\+\s*(\d{1,9})\s*/\s*([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class TokenBucket:
    """A token bucket: ``at_once`` tokens when it is full, and ``per_second`` of them come back.

    ``written`` is how people write it: ``30+20/m`` is thirty at once and twenty a minute after that.
    """

    at_once: int
    per_second: float
    written: str

    def __str__(self) -> str:
        return self.written

    @classmethod
    def read(cls, written: str) -> "TokenBucket":
        """Raises ValueError if it is written in another way, or would never let anything through."""
        found = _WRITTEN.fullmatch(written.strip())
        if found is None or int(found[1]) < 1 or int(found[2]) < 1:
            raise ValueError(
                "write it as 30+20/m: how many at once, then how many a second (s), minute (m) or hour (h)"
            )
        return cls(int(found[1]), int(found[2]) / _SECONDS[found[3]], written.strip())


def _read(value: Any) -> Any:
    return TokenBucket.read(value) if isinstance(value, str) else value


BudgetSetting = Annotated[TokenBucket, NoDecode, BeforeValidator(_read), PlainSerializer(str)]
