"""Traffic with servers: pictures only, bodies of bounded length, and no secrets in messages."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from relation_core.errors import printable
from relation_core.pictures.picture_file import decode_picture

from .errors import EvaluationError

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER = 16 << 20
"""Bytes of an answer in JSON; ComfyUI's history of a prompt has some thousands."""
MAX_PICTURE = 256 << 20
IDENTITY = {"Accept-Encoding": "identity"}
"""Asks for uncompressed bodies: the length of compressed ones is unknown until they are unpacked."""
_PIECE = 1 << 16
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@?#]+@")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class BadAnswerError(EvaluationError):
    """A server answers with something that cannot be used."""


@asynccontextmanager
async def open_session(total: float | None = None) -> AsyncGenerator[aiohttp.ClientSession]:
    """Open a session that follows no redirect, unpacks no body and keeps no cookies.

    Args:
        total: seconds that one answer may take; None where each request has its own bound.
    """
    import aiohttp  # noqa: PLC0415 - optional

    async def refuse(_session: object, _context: object, found: aiohttp.TraceRequestRedirectParams) -> None:
        raise aiohttp.ClientConnectionError(f"{redacted(str(found.url))} leads elsewhere, where nothing is sent")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=total, sock_connect=10),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
    ) as session:
        yield session


def encoded_anew(data: bytes, path: Path) -> bytes:
    """Decode the contents of a picture file and encode them as a PNG, so that only its pixels leave this machine.

    Raises:
        PictureError: it is no picture.
    """
    buffer = BytesIO()
    decode_picture(data, f"the picture '{printable(str(path))}'").save(buffer, "PNG")
    return buffer.getvalue()


async def bounded_body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read an answer's body.

    Raises:
        BadAnswerError: it leads elsewhere, or is longer than ``most`` bytes.
    """
    if 300 <= answer.status < 400:
        host = urlsplit(answer.headers.get("Location", "")).hostname or "another address"
        raise BadAnswerError(
            f"The server answers {answer.status} and leads to {redacted(host)}, where nothing is sent. If that is the "
            "right server, give its address."
        )
    pieces: list[bytes] = []
    length = 0
    async for piece in answer.content.iter_chunked(_PIECE):
        length += len(piece)
        if length > most:
            raise BadAnswerError(f"The server's answer is longer than {most:,} bytes; expected less. It is not used.")
        pieces.append(piece)
    return b"".join(pieces)


def secrets_of(address: str) -> tuple[str, ...]:
    """Return the parts of an address that must not be shown: its password, in all forms in which it is sent."""
    try:
        parts = urlsplit(address)
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return ()
    if not password:
        return ()
    plain = {(user, password), (unquote(user), unquote(password))}
    sent = {b64encode(":".join(one).encode(code, "replace")).decode() for one in plain for code in ("latin-1", "utf-8")}
    return tuple({word for _, word in plain} | sent)


def redacted(text: str, *secrets: str) -> str:
    """Remove secrets, and the names and passwords in addresses, from a text that is shown or stored."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub("***@", text)


def one_line(text: str, most: int = 500) -> str:
    """Shorten what a server says to a line without control characters."""
    return _CONTROLS.sub(" ", text[: 4 * most])[:most]
