"""What fills in what older versions did not keep of films: page by page, beside running work, by the films themselves.

Each film says whether it was done, so a fill that was killed goes on where it was, and one that is over finds nothing.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

from xraygpt_core.exit_codes import UNFINISHED

_PROGRESS_EVERY = 10  # pages


class Film(Protocol):
    """A film that was not done."""

    @property
    def image_id(self) -> UUID: ...


F = TypeVar("F", bound=Film)
T = TypeVar("T")


@dataclass
class RefillReport:
    """How many films were done, and why others could not be.

    Attributes:
        done_to: what was done to a film, as words for a person.
    """

    done_to: str
    filled: int = 0
    left: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return UNFINISHED if self.left else 0

    def document(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "done_to"}

    def lines(self) -> list[str]:
        lines = [f"not read: image {image_id} ({why})" for image_id, why in self.left.items()]
        return [*lines, f"{self.filled} films {self.done_to}, {len(self.left)} not"]


def refill(
    done_to: str,
    page_after: Callable[[UUID], Sequence[F]],
    read: Callable[[F], T | str],
    store: Callable[[Mapping[F, T]], int],
) -> RefillReport:
    """Do every film that was not done; one that cannot be read is asked again the next time.

    Args:
        page_after: the next films behind this id.
        read: what is to be kept of a film, or why it cannot be read.
        store: keeps that of a page in one transaction, and returns of how many films it was kept.
    """
    report, after, pages = RefillReport(done_to), UUID(int=0), 0
    while page := page_after(after):
        found: dict[F, T] = {}
        for film in page:
            one = read(film)
            if isinstance(one, str):
                report.left[str(film.image_id)] = one
            else:
                found[film] = one
        report.filled += store(found)
        after, pages = page[-1].image_id, pages + 1
        if pages % _PROGRESS_EVERY == 0:
            print(f"{report.filled} films {done_to}", file=sys.stderr)  # noqa: T201
    return report
