"""The hospital's numbers of a study, where the installation keeps them: sealed in the database, opened here."""

from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import FilmReader, UsesServices
from api_gateway.rate_limits import spends
from api_gateway.schemas import Answer
from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.studies.header_names import numbers_of_study
from xraygpt_core.sealing import SealedNumbers, Sealer

router = APIRouter(prefix="/v1/studies", tags=["studies"])


class ImageNumbers(Answer):
    """The numbers in the header of one image.

    ``kept`` is false where none were kept: the header has none, or was read before numbers were. Where they were and
    ``readable`` is false, they do not open: the box was changed, or belongs to another image or key.
    """

    image_id: UUID
    accession: str | None = None
    accession_issuer: str | None = None
    patient: str | None = None
    patient_issuer: str | None = None
    kept: bool = False
    readable: bool = False


class StudyNumbers(Answer):
    """The numbers of each image of a study, in the order of the study's images."""

    images: list[ImageNumbers]


@router.get("/{study_id}/numbers", dependencies=[spends("lookup")])
def get_numbers(study_id: UUID, services: UsesServices, _: FilmReader) -> StudyNumbers:
    """Open the accession and patient numbers of a study. 404 where this installation keeps none."""
    if services.sealer is None:
        raise NotFound("this installation keeps no numbers (XRAYGPT_SEALED_NUMBERS)")
    found = numbers_of_study(services.ledger, study_id)
    return StudyNumbers(images=[_opened(services.sealer, image_id, sealed) for image_id, sealed in found])


def _opened(sealer: Sealer, image_id: UUID, sealed: SealedNumbers | None) -> ImageNumbers:
    if sealed is None:
        return ImageNumbers(image_id=image_id)
    numbers = sealer.open(image_id, sealed)
    if numbers is None:
        return ImageNumbers(image_id=image_id, kept=True)
    return ImageNumbers(image_id=image_id, kept=True, readable=True, **vars(numbers))
