"""A request as the messages of a chat: the films as data URLs, then the question, then what was said since.

What people typed and what a hospital wrote cannot begin a message of its own: it travels as JSON strings, and what a
tokenizer behind the server could take for a control word of its own (``<|im_start|>``, ``[INST]``, ``</s>``) is broken
up.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from xraygpt_core.model.backend import GenerationRequest, ImageRole
from xraygpt_core.model.pictures import open_grey
from xraygpt_core.model.server.bundle import ChatServer, ServerBundle

_CONTROL = re.compile(r"<(?=/?[|｜\w][\w|｜:.▁-]{0,40}>)|\[(?=/?[A-Z][A-Z_]{1,20}\])")
_CALLED = {
    ImageRole.FRONTAL: "Frontal chest X-ray:",
    ImageRole.LATERAL: "Lateral chest X-ray of the same study:",
    ImageRole.PRIOR: "Frontal chest X-ray of the study before:",
}
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Conversation:
    """What the server is sent.

    Attributes:
        messages: of the chat.
        shown: the same in one text without films and without what is known of the patient, for the provenance.
        films: the data URL of each film in its order, and the SHA-256 of the film as it is sent.
        clinical: which of the hospital's words are in it.
    """

    messages: list[dict[str, Any]]
    shown: str
    films: tuple[tuple[str, str], ...]
    clinical: tuple[str, ...] = ()


def conversation(bundle: ServerBundle, request: GenerationRequest, *, latest: int | None = None) -> Conversation:
    """The messages of a request.

    Args:
        latest: only so many of the earlier turns, the latest ones; None: all. The films are never left out.

    Raises:
        InvalidRequest: a film cannot be read.
    """
    turns = request.turns if latest is None else request.turns[len(request.turns) - latest :]
    asked = [*(question for question, _ in turns), request.question or bundle.question]
    sent = {role: data_url(png, bundle.server) for role, png in _films(bundle, request).items()}
    first, seen = _opening(bundle, request, sent, asked[0])
    messages: list[dict[str, Any]] = []
    shown = []
    if bundle.server.system is not None:
        messages.append({"role": "system", "content": bundle.server.system})
        shown.append(f"[system] {bundle.server.system}")
    messages.append({"role": "user", "content": first})
    shown.append(f"[user] {seen}")
    for (_, answer), question in zip(turns, asked[1:], strict=True):
        messages.append({"role": "assistant", "content": harmless(answer)})
        messages.append({"role": "user", "content": harmless(question)})
        shown += [f"[assistant] {harmless(answer)}", f"[user] {harmless(question)}"]
    films = tuple((url, _digest_of(url)) for url in sent.values())
    return Conversation(messages, "\n".join(shown), films, tuple(_known(bundle, request)))


def _known(bundle: ServerBundle, request: GenerationRequest) -> dict[str, str]:
    """The hospital's words that the bundle uses and the request has."""
    return {name: words for name, words in asdict(request.clinical).items() if name in bundle.clinical and words}


def _films(bundle: ServerBundle, request: GenerationRequest) -> dict[ImageRole, bytes]:
    """The films that the bundle uses and the request has."""
    given = {
        ImageRole.FRONTAL: request.image_png,
        ImageRole.LATERAL: request.lateral_png,
        ImageRole.PRIOR: request.prior_png,
    }
    return {role: png for role in bundle.images if (png := given[role]) is not None}


def _opening(
    bundle: ServerBundle, request: GenerationRequest, sent: Mapping[ImageRole, str], question: str
) -> tuple[list[dict[str, Any]], str]:
    """The parts of the first message, and what of it may be shown. A film is named where others could come with it."""
    parts: list[dict[str, Any]] = []
    shown = []
    for role, url in sent.items():
        if len(bundle.images) > 1:
            parts.append({"type": "text", "text": _CALLED[role]})
            shown.append(_CALLED[role])
        parts.append({"type": "image_url", "image_url": {"url": url}})
        shown.append(f"[{role} film]")
    known = _known(bundle, request)
    lines = [f"{_heading(name)}: {harmless(words)}" for name, words in known.items()]
    parts.append({"type": "text", "text": "\n".join([*lines, harmless(question)])})
    shown += [*(f"{_heading(name)}: [{name}]" for name in known), harmless(question)]
    return parts, "\n".join(shown)


def _heading(name: str) -> str:
    return name.replace("_", " ").upper()


def harmless(text: str) -> str:
    """The text, stripped, with a space inside of whatever looks like a control word of a chat template."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", text.strip())


def data_url(png: bytes, server: ChatServer) -> str:
    """The film as this server takes it: 8-bit grey, as PNG or JPEG, its longer side as long as the bundle says.

    Raises:
        InvalidRequest: it cannot be read.
    """
    image = open_grey(png)
    if server.image_size is not None and max(image.size) > server.image_size:
        scale = server.image_size / max(image.size)
        size = [max(1, round(side * scale)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, server.image_format.upper(), quality=_JPEG_QUALITY)
    return f"data:image/{server.image_format};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _digest_of(url: str) -> str:
    return hashlib.sha256(base64.b64decode(url.partition(",")[2])).hexdigest()


def chat_body(bundle: ServerBundle, messages: list[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
    """The body that asks for an answer of at most so many tokens."""
    decoding = bundle.decoding
    body: dict[str, Any] = {
        "model": bundle.server.model,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": decoding.temperature if decoding.do_sample else 0.0,
        "top_p": decoding.top_p if decoding.do_sample else 1.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if bundle.server.seeds and decoding.seed is not None:
        body["seed"] = decoding.seed
    if bundle.stop:
        body["stop"] = list(bundle.stop)
    return body


def request_digest(body: Mapping[str, Any], films: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of the body in canonical JSON (sorted keys, no spaces), each film replaced by its own SHA-256."""
    written = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for url, digest in films:
        written = written.replace(url, f"sha256:{digest}")
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
