"""A ComfyUI server, by its HTTP and WebSocket API."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from relation_core.errors import PictureError

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
)

if TYPE_CHECKING:
    import aiohttp

SUBFOLDER = "relation_evaluation"
"""Where pictures go in the server's input folder."""
POLL = 2.0
"""Seconds between questions after a prompt where the WebSocket says nothing."""
_PATIENCE = 60.0
"""Seconds that one request may take; ComfyUI answers while it samples."""
_PLAIN: dict[str, Any] = {"allow_redirects": False, "headers": IDENTITY}
_GATEWAY = (502, 503, 504)
"""What a proxy answers while the server behind it is away."""


class Server:
    """One server. Whether a prompt is done is asked by HTTP; the WebSocket only says when to ask."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self.shown = redacted(self.address)
        """The address without a password."""
        self._session = session
        self._client = uuid4().hex
        self._finished: dict[str, asyncio.Event] = {}
        self._uploaded: dict[Path, str] = {}

    async def answers(self) -> bool:
        """Tell whether the server is there."""
        try:
            await self._get_json("/system_stats")
        except (ServerDownError, PromptFailedError):
            return False
        return True

    async def upload(self, path: Path) -> str:
        """Put a picture, encoded anew, into the server's input folder, once; return its name for ``LoadImage``.

        Raises:
            SampleBrokenError: it is no picture.
        """
        if path not in self._uploaded:
            try:
                data = await asyncio.to_thread(encoded_anew, path)
            except PictureError as error:
                raise SampleBrokenError(str(error)) from error
            name = hashlib.sha256(data).hexdigest()[:32] + ".png"
            answer = await self._request(lambda session: self._post_picture(session, name, data))
            with understanding(self.shown):
                self._uploaded[path] = f"{answer['subfolder']}/{answer['name']}"
        return self._uploaded[path]

    async def submit(self, prompt: dict[str, Any], identity: str) -> None:
        """Put a prompt into the queue under an id of our own, a UUID.

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
                reason = one_line(_refusal(answer), 2000)
            raise PromptRefusedError(f"{self.shown} refuses the workflow: {reason}")

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
                    await asyncio.wait_for(finished.wait(), POLL)
                finished.clear()
                entry = await self._history(identity)
                if entry is None and not await self._is_queued(identity):
                    entry = await self._history(identity)  # it may have ended between the two questions
                    if entry is None:
                        raise PromptLostError(f"{self.shown} knows nothing of the prompt {identity} any more.")
                if entry is not None:
                    with understanding(self.shown):
                        return _outputs(entry)
        finally:
            self._finished.pop(identity, None)

    async def fetch(self, picture: dict[str, str]) -> bytes:
        """Download a picture that an output names."""
        query = {key: str(picture.get(key, "")) for key in ("filename", "subfolder", "type")}

        async def get(session: aiohttp.ClientSession) -> bytes:
            async with session.get(f"{self.address}/view", params=query, **_PLAIN) as answer:
                answer.raise_for_status()
                return await bounded_body(answer, MAX_PICTURE)

        return await self._request(get)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Listen to the WebSocket in the block, and connect again when it breaks off."""
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
            with contextlib.suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):
                async with self._session.ws_connect(f"{self.address}/ws", params={"clientId": self._client}) as socket:
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            with contextlib.suppress(AttributeError, RecursionError, TypeError, ValueError):
                                self._notice(json.loads(message.data))  # what is no message of ComfyUI's says nothing
            await asyncio.sleep(POLL)

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
        import aiohttp  # noqa: PLC0415 - optional

        try:
            return await asyncio.wait_for(ask(self._session), _PATIENCE)
        except BadAnswerError as error:
            raise PromptFailedError(f"{self.shown}: {error}") from error
        except aiohttp.ClientResponseError as error:
            if error.status in _GATEWAY:
                raise ServerDownError(f"{self.shown} answers {error.status} {one_line(error.message, 200)}.") from error
            address = redacted(str(error.request_info.url))
            raise PromptFailedError(f"{address} answers {error.status} {one_line(error.message, 200)}.") from error
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ServerDownError(f"{self.shown} does not answer: {redacted(one_line(repr(error)))}.") from error


@contextlib.contextmanager
def understanding(address: str) -> Generator[None]:
    """Name answers of another form than ComfyUI's.

    Raises:
        PromptFailedError: the block ran into one.
    """
    try:
        yield
    except EvaluationError:
        raise
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise PromptFailedError(
            f"{address} answers in another form than ComfyUI ({one_line(repr(error), 200)}). Check that it is one."
        ) from error


async def _json(answer: aiohttp.ClientResponse) -> Any:
    body = await bounded_body(answer, MAX_ANSWER)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(
            f"The answer is not JSON: {one_line(body[:800].decode(errors='replace'), 200)}."
        ) from error


def _refusal(answer: Any) -> str:
    """Put ComfyUI's answer to an invalid prompt in a sentence."""
    error: dict[str, Any] = answer.get("error") or {}
    nodes: dict[str, Any] = answer.get("node_errors") or {}
    details = [
        f"node {name} ({node.get('class_type')}): {one.get('message')}: {one.get('details')}"
        for name, node in nodes.items()
        for one in node.get("errors", [])
    ]
    return "; ".join(details) or f"{error.get('message')}: {error.get('details')}"


def _outputs(entry: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = entry.get("status") or {}
    if status.get("status_str") == "success":
        return entry["outputs"]
    messages: dict[str, dict[str, Any]] = dict(status.get("messages", []))
    failure = messages.get("execution_error")
    if failure is None:
        raise PromptFailedError("The prompt was interrupted.")
    words = [str(failure[key]).strip() for key in ("node_type", "exception_type", "exception_message")]
    raise PromptFailedError(one_line(": ".join(words), 2000))


def result_picture(outputs: dict[str, Any], node: str | None) -> dict[str, str]:
    """Choose the picture that is the result: that of ``node``, or else of the only node that has one.

    Raises:
        PromptRefusedError: there is none, or more than one.
    """
    pictures = {name: output["images"] for name, output in outputs.items() if output.get("images")}
    chosen = pictures.get(node, []) if node is not None else [one for found in pictures.values() for one in found]
    if len(chosen) != 1:
        raise PromptRefusedError(
            f"The workflow put out {len(chosen)} pictures; expected one. Give the node that saves the result the title "
            "'result', and let it save a single picture."
        )
    return chosen[0]
