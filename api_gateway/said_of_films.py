"""What a request says of the films that it is about: the hospital's words, which leave it under seal."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field

from api_gateway.dependencies import Dependencies
from api_gateway.schemas import Request, Words
from xraygpt_core.clinical_text import LONGEST, Clinical
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.studies.request_words import Seal

MOST_WITH_WORDS = 16  # words are about one study, and no study of chest films has more


def _on_one_line(words: str) -> str:
    """As ingest takes words of a header."""
    return " ".join(words.split())


Said = Annotated[Words, Field(max_length=LONGEST), AfterValidator(_on_one_line)]


class SaidOfFilms(Request):
    """What is known of films when they are asked for, as the films of one study.

    Models that read such words are shown them, before those of the header.
    """

    indication: Said | None = None
    technique: Said | None = None
    comparison: Said | None = None

    @property
    def words(self) -> Clinical | None:
        """What it says; None: nothing."""
        if not (self.indication or self.technique or self.comparison):
            return None
        return Clinical(self.indication, self.technique, self.comparison)

    def about(self, films: int) -> Self:
        """Itself, if so many films can be one study. Raises ValueError."""
        if self.words and films > MOST_WITH_WORDS:
            raise ValueError(
                f"words are about one study: send its films alone, {MOST_WITH_WORDS} at most, or leave out the words"
            )
        return self


def sealing(services: Dependencies, said: SaidOfFilms) -> Seal | None:
    """What seals the request's words for an image; None where it has none.

    Raises:
        InvalidRequest: it has, and this installation shows no words to its models.
    """
    clinical, sealer = said.words, services.clinical
    if clinical is None:
        return None
    if sealer is None:
        raise InvalidRequest(
            "this installation keeps no clinical text: leave out indication, technique and comparison, or switch it "
            "on with XRAYGPT_CLINICAL_TEXT"
        )
    return lambda image_id: sealer.seal(image_id, clinical)
