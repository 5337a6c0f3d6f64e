"""A ComfyUI server, by its HTTP and WebSocket API."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from relation_core.errors import PictureError
from relation_core.files.json_file import parse_json
from relation_core.pictures.picture_file import read_picture_bytes

from .answers import outputs_of, refusal, understanding
from .errors import (
    EvaluationError,
    PromptFailedError,
    PromptLostError,
    PromptRefusedError,
    SampleBrokenError,
    ServerDownError,
)
from .transport import (
    IDENTITY,
    MAX_ANSWER,
    MAX_PICTURE,
    BadAnswerError,
    bounded_body,
    encoded_anew,
    one_line,
    redacted,
    secrets_of,
)

if TYPE_CHECKING:
    import aiohttp

SUBFOLDER = "relation_evaluation"
"""Folder of the pictures in the server's input folder."""
_PLAIN: dict[str, Any] = {"allow_redirects": False, "headers": IDENTITY}
_GATEWAY = (502, 503, 504)
"""A proxy's status codes while the server behind it is away."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, in seconds."""

    poll: float = 2.0
    """Between questions after a prompt where the WebSocket says nothing."""
    request: float = 60.0
    """That one request may take; ComfyUI answers while it samples."""


PATIENT = Patience()


class Server:
    """One server. Whether a prompt is done is asked by HTTP; the WebSocket only says when to ask."""

    def __init__(self, address: str, session: aiohttp.ClientSession, patience: Patience = PATIENT) -> None:
        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self.shown = redacted(self.address)
        """The address without a password."""
        self._session = session
        self._secrets = secrets_of(self.address)
        self._patience = patience
        self._client = uuid4().hex
        self._finished: dict[str, asyncio.Event] = {}
        self._uploaded: dict[str, str] = {}
        """Names in the server's input folder, by digests of files: a picture may be replaced between samples."""

    async def answers(self) -> bool:
        """Tell whether the server is there."""
        try:
            await self._get_json("/system_stats")
        except (ServerDownError, PromptFailedError):
            return False
        return True

    async def upload(self, path: Path) -> str:
        """Upload a picture, re-encoded, to the server's input folder, once; return its name for ``LoadImage``.

        Raises:
            SampleBrokenError: it is not a picture.
        """
        try:
            found = await asyncio.to_thread(read_picture_bytes, path)
            digest = hashlib.sha256(found).hexdigest()
            if digest not in self._uploaded:
                data = await asyncio.to_thread(encoded_anew, found, path)
                name = hashlib.sha256(data).hexdigest()[:32] + ".png"
                answer = await self._request(lambda session: self._post_picture(session, name, data))
                with understanding(self.shown):
                    self._uploaded[digest] = f"{answer['subfolder']}/{answer['name']}"
        except PictureError as error:
            raise SampleBrokenError(str(error)) from error
        return self._uploaded[digest]

    async def submit(self, prompt: dict[str, Any], identity: str) -> None:
        """Queue a prompt under an id that we choose, a UUID.

        Raises:
            PromptRefusedError: ComfyUI finds the prompt invalid.
            ServerDownError: no answer.
        """
        body = {"prompt": prompt, "prompt_id": identity, "client_id": self._client}
        self._finished[identity] = asyncio.Event()
        status, answer = await self._request(lambda session: self._post_prompt(session, body))
        if status != 200:
            self._uploaded.clear()  # perhaps the input folder was emptied
            with understanding(self.shown):
                reason = one_line(refusal(answer), 2000)
            raise PromptRefusedError(redacted(f"{self.shown} refuses the workflow: {reason}", *self._secrets))

    async def wait(self, identity: str) -> dict[str, Any]:
        """Wait for a prompt that was submitted, now or by an earlier run; return its outputs by node.

        Raises:
            PromptFailedError: a node failed; the message is ComfyUI's.
            PromptLostError: the server does not know the prompt.
            ServerDownError: no answer.
        """
        finished = self._finished.setdefault(identity, asyncio.Event())
        try:
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(finished.wait(), self._patience.poll)
                finished.clear()
                entry = await self._history(identity)
                if entry is None and not await self._is_queued(identity):
                    entry = await self._history(identity)  # it may have ended between the two questions
                    if entry is None:
                        raise PromptLostError(f"{self.shown} no longer knows the prompt {identity}.")
                if entry is not None:
                    with understanding(self.shown), self._keeping_secrets():
                        return outputs_of(entry)
        finally:
            self._finished.pop(identity, None)

    async def fetch(self, picture: dict[str, str]) -> bytes:
        """Download a picture named in an output."""
        query = {key: str(picture.get(key, "")) for key in ("filename", "subfolder", "type")}

        async def get(session: aiohttp.ClientSession) -> bytes:
            async with session.get(f"{self.address}/view", params=query, **_PLAIN) as answer:
                answer.raise_for_status()
                return await bounded_body(answer, MAX_PICTURE)

        return await self._request(get)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Listen to the WebSocket during the block, and reconnect when it drops."""
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _listen(self) -> None:
        import aiohttp  # noqa: PLC0415 - optional

        while True:
            with contextlib.suppress(Exception):  # untrusted: it only says when to ask
                async with self._session.ws_connect(f"{self.address}/ws", params={"clientId": self._client}) as socket:
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            with contextlib.suppress(AttributeError, TypeError, ValueError):
                                self._notice(parse_json(message.data))  # other messages are ignored
            await asyncio.sleep(self._patience.poll)

    def _notice(self, message: dict[str, Any]) -> None:
        data: dict[str, Any] = message.get("data") or {}
        ended = message.get("type") == "executing" and data.get("node") is None
        finished = self._finished.get(data.get("prompt_id", ""))
        if finished is not None and ended:
            finished.set()

    async def _history(self, identity: str) -> dict[str, Any] | None:
        answer = await self._get_json(f"/history/{identity}")
        with understanding(self.shown):
            return answer.get(identity)

    async def _is_queued(self, identity: str) -> bool:
        queue = await self._get_json("/queue")
        with understanding(self.shown):
            return any(item[1] == identity for item in queue["queue_running"] + queue["queue_pending"])

    async def _get_json(self, path: str) -> dict[str, Any]:
        async def get(session: aiohttp.ClientSession) -> dict[str, Any]:
            async with session.get(self.address + path, **_PLAIN) as answer:
                answer.raise_for_status()
                return await _json(answer)

        return await self._request(get)

    async def _post_picture(self, session: aiohttp.ClientSession, name: str, data: bytes) -> dict[str, str]:
        import aiohttp  # noqa: PLC0415 - optional

        form = aiohttp.FormData({"subfolder": SUBFOLDER, "type": "input"})
        form.add_field("image", data, filename=name, content_type="application/octet-stream")
        async with session.post(f"{self.address}/upload/image", data=form, **_PLAIN) as answer:
            answer.raise_for_status()
            return await _json(answer)

    async def _post_prompt(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[int, Any]:
        async with session.post(f"{self.address}/prompt", json=body, **_PLAIN) as answer:
            if answer.status not in (200, 400):
                answer.raise_for_status()
            return answer.status, await _json(answer)

    async def _request(self, ask: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
        with self._keeping_secrets():
            return await self._plain_request(ask)

    @contextlib.contextmanager
    def _keeping_secrets(self) -> Generator[None]:
        """Remove the password from an error's message: a server may echo what it was sent."""
        try:
            yield
        except EvaluationError as error:
            raise type(error)(redacted(str(error), *self._secrets)) from None

    async def _plain_request(self, ask: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
        import aiohttp  # noqa: PLC0415 - optional

        try:
            return await asyncio.wait_for(ask(self._session), self._patience.request)
        except BadAnswerError as error:
            raise PromptFailedError(f"{self.shown}: {error}") from error
        except aiohttp.ClientResponseError as error:
            if error.status in _GATEWAY:
                raise ServerDownError(f"{self.shown} answers {error.status} {one_line(error.message, 200)}.") from error
            address = redacted(str(error.request_info.url))
            raise PromptFailedError(f"{address} answers {error.status} {one_line(error.message, 200)}.") from error
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ServerDownError(f"{self.shown} does not answer: {redacted(one_line(repr(error)))}.") from error


async def _json(answer: aiohttp.ClientResponse) -> Any:
    body = await bounded_body(answer, MAX_ANSWER)
    try:
        return parse_json(body)
    except ValueError as error:
        raise BadAnswerError(
            f"The answer is not JSON: {one_line(body[:800].decode(errors='replace'), 200)}."
        ) from error
