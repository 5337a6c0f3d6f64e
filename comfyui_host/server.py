"""A real ComfyUI server in a folder of its own, spoken to as its page does: over HTTP and a WebSocket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import websocket

PACK = Path(__file__).resolve().parents[1]
START_SECONDS = 300
ANSWER_SECONDS = 60
SILENT_SECONDS = 900
"""A node may say nothing for this long before the server counts as hung: T5-XXL takes minutes on a slow CPU."""

Prompt = dict[str, dict[str, Any]]
"""A graph in ComfyUI's API form: nodes by id."""


class ServerError(Exception):
    """The server did not start, refused a prompt or stopped answering."""


@dataclass(frozen=True)
class Message:
    """One message of the server about a prompt, such as ``progress``."""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a prompt ended."""

    status: str
    """``success``, ``error`` or ``interrupted``."""
    node: str | None
    """The node that failed or was interrupted."""
    error: str
    pictures: dict[str, list[Path]]
    """Files that nodes wrote, by node id."""


class ComfyServer:
    """A ComfyUI server on a CPU, as a context manager. Leaving it stops the server.

    Args:
        comfyui: a ComfyUI folder.
        base: its base folder: models, input, output and custom nodes are there, and nowhere else.
        flags: more arguments of ``main.py``.
        threads: of the computation; 0 leaves it to PyTorch. Small models on a busy machine run fastest on one.
    """

    def __init__(self, comfyui: Path, base: Path, *flags: str, threads: int = 0) -> None:
        self.base = base
        self.log_path = base / "server.log"
        self._comfyui = comfyui
        self._flags = flags
        self._environment = {**os.environ, "PYTHONUTF8": "1"}
        if threads:
            self._environment["OMP_NUM_THREADS"] = str(threads)
        self._client = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> ComfyServer:
        """Start the server with the pack as its only custom node, and wait until it answers."""
        for name in ("custom_nodes", "input", "output", "temp", "user"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        pack = self.base / "custom_nodes" / "relation_adapter"
        if not pack.exists():
            pack.symlink_to(PACK, target_is_directory=True)
        host, port = self.address.split(":")
        arguments = ["--cpu", "--disable-auto-launch", "--disable-api-nodes", "--base-directory", str(self.base)]
        arguments += ["--database-url", f"sqlite:///{self.base / 'comfyui.db'}", "--listen", host]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [sys.executable, "-u", "main.py", *arguments, "--port", port, *self._flags],
                cwd=self._comfyui,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        assert self._process is not None  # noqa: S101 - entered
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None  # noqa: S101 - entered
        return self._process.pid

    def log(self) -> str:
        """Everything that the server has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """Read JSON from the server, such as ``object_info``."""
        answer = requests.get(f"http://{self.address}/{path}", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, content: dict[str, Any]) -> requests.Response:
        """Send JSON to the server."""
        return requests.post(f"http://{self.address}/{path}", json=content, timeout=ANSWER_SECONDS)

    def interrupt(self, prompt: str = "") -> None:
        """Press the page's stop button; with a prompt's id, only if that prompt is running."""
        self.post("interrupt", {"prompt_id": prompt} if prompt else {}).raise_for_status()

    def run(self, prompt: Prompt, watch: Callable[[Message], None] | None = None, client: str = "") -> Outcome:
        """Execute a prompt to its end.

        Args:
            prompt: the graph.
            watch: shown every message about it as it comes.
            client: the page that asks for it, where several ask at once.

        Raises:
            ServerError: the prompt was refused, or the server fell silent.
        """
        client = client or self._client
        with closing(websocket.create_connection(f"ws://{self.address}/ws?clientId={client}")) as connection:
            connection.settimeout(SILENT_SECONDS)
            answer = self.post("prompt", {"prompt": prompt, "client_id": client})
            if answer.status_code != requests.codes.ok:
                raise ServerError(f"The server refused the prompt: {answer.text}")
            identity = answer.json()["prompt_id"]
            end: Message | None = None
            for message in _messages(connection, identity):
                if watch is not None:
                    watch(message)
                if message.kind in _ENDS:
                    end = message
                if end is not None and message.kind == "executing" and message.data["node"] is None:
                    return self._outcome(end, identity)  # only now the history has it
        raise ServerError(f"The server closed the connection. Its log ends:\n{self._tail()}")

    def _outcome(self, message: Message, identity: str) -> Outcome:
        history = self.get(f"history/{identity}")[identity]
        pictures = {
            node: [self.base / file["type"] / file["subfolder"] / file["filename"] for file in output["images"]]
            for node, output in history["outputs"].items()
            if "images" in output
        }
        error = f"{message.data.get('exception_type', '')}: {message.data.get('exception_message', '')}".strip(": \n")
        return Outcome(_ENDS[message.kind], message.data.get("node_id"), error, pictures)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ServerError(f"ComfyUI stopped while starting. Its log ends:\n{self._tail()}")
            try:
                self.get("system_stats")
            except requests.RequestException:
                time.sleep(0.2)
            else:
                return
        raise ServerError(f"ComfyUI did not answer within {START_SECONDS} seconds. Its log ends:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self.log().splitlines()[-30:])


_ENDS = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}


def _messages(connection: websocket.WebSocket, identity: str) -> Iterator[Message]:
    """Read the messages about one prompt; previews, which are binary, are passed over."""
    while True:
        try:
            received = connection.recv()
        except websocket.WebSocketTimeoutException as error:
            raise ServerError(f"The server said nothing for {SILENT_SECONDS} seconds.") from error
        if not received:
            return
        if isinstance(received, str):
            content = json.loads(received)
            if content["data"].get("prompt_id") == identity:
                yield Message(content["type"], content["data"])
