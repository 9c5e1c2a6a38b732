"""What a bundle is shown for one text of a comparison: the films and the words that it would be shown in service."""

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from xraygpt.client import Gateway, GatewayError
from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.states import ShadowFailure

if TYPE_CHECKING:
    from xraygpt_core.clinical_sealing import ClinicalOpener

HEADER, REQUEST = "clinical_sha256", "request_sha256"  # what the provenance calls the hashes of sealed words
# The gateway has no such thing, or refuses to show a picture that is not what ingest read.
_LOST = frozenset({httpx.codes.NOT_FOUND, httpx.codes.INTERNAL_SERVER_ERROR})


def shown(
    client: Gateway, comparison_id: str, film: Mapping[str, Any], opener: "ClinicalOpener | None"
) -> GenerationRequest | ShadowFailure:
    """The request, or which part of it cannot be had any more: then nothing is asked.

    Args:
        film: an element of ``open`` of POST /v1/comparisons.
    """
    beside = film["beside"]
    frontal = {"study_id": film["study_id"], "image_id": film["image_id"], "sha256": film["image_sha256"]}
    wanted = {"frontal": frontal, **{role: beside[role] for role in ("lateral", "prior") if role in beside}}
    pngs = {role: _picture(client, one) for role, one in wanted.items()}
    frontal_png = pngs["frontal"]
    if frontal_png is None or None in pngs.values():
        return ShadowFailure.PICTURE
    clinical = _words(client, comparison_id, film, opener) if has_words(film) else UNKNOWN
    if clinical is None:
        return ShadowFailure.WORDS
    return GenerationRequest(
        frontal_png, lateral_png=pngs.get("lateral"), prior_png=pngs.get("prior"), clinical=clinical
    )


def has_words(film: Mapping[str, Any]) -> bool:
    """Is the bundle shown words about this film?"""
    return not film["beside"].keys().isdisjoint((HEADER, REQUEST))


def _picture(client: Gateway, film: Mapping[str, str]) -> bytes | None:
    """The film as ingest normalised it; None where it is gone, or another."""
    try:
        png = client.download(f"/v1/studies/{film['study_id']}/images/{film['image_id']}.png")
    except GatewayError as error:
        if error.status in _LOST:
            return None
        raise
    return png if hashlib.sha256(png).hexdigest() == film["sha256"] else None


def _words(
    client: Gateway, comparison_id: str, film: Mapping[str, Any], opener: "ClinicalOpener | None"
) -> Clinical | None:
    """What request and header say, as in service; None where some of it is gone or does not open."""
    if opener is None:
        return None
    try:
        found = client.get(f"/v1/comparisons/{comparison_id}/words/{film['study_id']}")
    except GatewayError as error:
        if error.status in _LOST:
            return None
        raise
    opened = {}
    for name in (REQUEST, HEADER):
        if name not in film["beside"]:
            continue
        one = found["boxes"].get(name)
        box = b64decode(one["box"]) if one else b""
        if one is None or hashlib.sha256(box).hexdigest() != film["beside"][name]:
            return None
        opened[name] = opener.open(UUID(one["image_id"]), box)
        if opened[name] == UNKNOWN:
            return None
    return opened.get(REQUEST, UNKNOWN).before(opened.get(HEADER, UNKNOWN))
