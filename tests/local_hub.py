"""A server on this machine that answers for one file as huggingface.co does, and can be made to fail in every way."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY, FILE = "handsomeWilliam/RelationAdapter", "ip_adapter-100000.bin"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 1 << 16


@dataclass(frozen=True)
class Request:
    """What was asked of the hub or of the servers that hold its files."""

    method: str
    path: str
    start: int
    """Where the bytes asked for begin."""


@dataclass
class Faults:
    """How the answers depart from the hub's. Lists are used up, one entry an answer."""

    hub_statuses: list[int] = field(default_factory=list)
    """Status codes of the hub's next answers, before any good one."""
    statuses: list[int] = field(default_factory=list)
    """Status codes of the next answers that should carry bytes."""
    cuts: list[int] = field(default_factory=list)
    """How many bytes the next answers send before the connection breaks."""
    size: int | None = None
    """What the hub says the size is, if not what it is."""
    sha256: str | None = None
    without: tuple[str, ...] = ()
    """Headers that are left out."""
    ignores_ranges: bool = False
    says_no_length: bool = False
    sends: bytes | None = None
    """What is sent instead of the file."""
    seconds_a_piece: float = 0.0
    on_piece: Callable[[int], None] | None = None
    """Called with the position after every 64 KiB that were sent."""


class LocalHub:
    """Two servers, as a context manager: the hub, which knows, and another address, which holds the bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.faults = Faults()
        self.requests: list[Request] = []
        self._hub = _Server(self, _HubHandler)
        self._storage = _Server(self, _StorageHandler)
        self.address = f"http://127.0.0.1:{self._hub.server_port}"
        self.storage_address = f"http://localhost:{self._storage.server_port}"  # another host, as far as names tell

    def __enter__(self) -> LocalHub:
        self._hub.start()
        self._storage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.stop()
        self._storage.stop()

    def starts(self) -> list[int]:
        """Where each transfer of bytes began."""
        return [request.start for request in self.requests if request.path.startswith("/stored/")]

    def forget(self) -> None:
        """Answer well from now on, and forget what was asked."""
        self.faults = Faults()
        self.requests.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: LocalHub, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.hub = hub

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are expected here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def note(self) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.server.hub.requests.append(Request(self.command, self.path, start))
        return start

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name not in self.server.hub.faults.without:
                self.send_header(name, value)
        self.end_headers()


class _HubHandler(_Handler):
    """``/<repository>/resolve/<revision>/<file>``: what the file is, and where its bytes are."""

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_HEAD(self) -> None:
        self.note()
        hub, faults = self.server.hub, self.server.hub.faults
        resolved = re.fullmatch(rf"/{REPOSITORY}/resolve/(main|{COMMIT})/{re.escape(FILE)}", self.path)
        if resolved is None:
            return self.answer(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"})
        if faults.hub_statuses:
            return self.answer(faults.hub_statuses.pop(0), {"Content-Length": "0"})
        sha256 = faults.sha256 or hub.sha256
        headers = {
            "Content-Length": "0",
            "Location": f"{hub.storage_address}/stored/{hub.sha256}?signature=0",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(hub.content) if faults.size is None else faults.size),
            "X-Linked-Etag": f'"{sha256}"',
            "ETag": f'"{sha256}"',
            "Accept-Ranges": "bytes",
        }
        return self.answer(302, headers)


class _StorageHandler(_Handler):
    """``/stored/<sha256>``: the bytes."""

    def do_GET(self) -> None:
        asked = self.note()
        faults = self.server.hub.faults
        content = self.server.hub.content if faults.sends is None else faults.sends
        if faults.statuses:
            return self.answer(faults.statuses.pop(0), {"Content-Length": "0"})
        start = 0 if faults.ignores_ranges else asked
        headers = {"Content-Length": str(len(content) - start), "ETag": '"stored"', "Accept-Ranges": "bytes"}
        if faults.says_no_length:
            headers = {"Connection": "close"}
            self.close_connection = True
        if "Range" in self.headers and not faults.ignores_ranges:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, headers)
        else:
            self.answer(200, headers)
        end = min(len(content), start + faults.cuts.pop(0)) if faults.cuts else len(content)
        self._send(content, start, end)
        if end < len(content):
            self.close_connection = True
        return None

    def _send(self, content: bytes, start: int, end: int) -> None:
        faults = self.server.hub.faults
        with suppress(ConnectionError):
            for position in range(start, end, PIECE):
                self.wfile.write(content[position : min(position + PIECE, end)])
                if faults.seconds_a_piece:
                    time.sleep(faults.seconds_a_piece)
                if faults.on_piece is not None:
                    faults.on_piece(position + PIECE)
