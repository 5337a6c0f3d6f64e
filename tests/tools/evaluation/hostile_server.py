"""A server on this machine that plays ComfyUI and a judge, and misbehaves at places drawn from a seed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

DOWNLOADED, COMMIT = bytes(range(256)) * 8, "0123456789abcdef0123456789abcdef01234567"
HUB, STORED = "/handsomeWilliam/", "/stored"
HONEST_PATHS = ("/system_stats", "/upload/image", "/prompt", "/history/", "/queue", "/view", "/ws", "/v1/chat")
_CALM = 3.0
"""Seconds after which a server that drips, or says nothing, lets go."""
_ENDLESS = 1 << 30


@dataclass
class HostileServer:
    """What it does at which path, and what it was asked."""

    seed: int
    faults: dict[str, Callable[[HostileServer, socket.socket], None]] = field(default_factory=dict[str, Any])
    """By the beginning of a path."""
    asked: list[tuple[str, bytes, bytes]] = field(default_factory=list[Any])
    """Path, head and body of every request."""
    prompts: list[str] = field(default_factory=list[str])
    port: int = 0
    ending: threading.Event = field(default_factory=threading.Event)
    elsewhere: str = "http://localhost:9/elsewhere"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def draw_faults(self) -> None:
        """Misbehave at one to three paths."""
        chance = random.Random(self.seed)  # noqa: S311
        for path in chance.sample(HONEST_PATHS, chance.choice((1, 1, 2, 3))):
            self.faults[path] = (
                WEBSOCKET[chance.choice(list(WEBSOCKET))] if path == "/ws" else FAULTS[chance.choice(list(FAULTS))]
            )

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(_CALM)
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                head += piece
            head, _, body = head.partition(b"\r\n\r\n")
            body = _rest(connection, head, body)
            path = head.split(b" ", 2)[1].decode()
            self.asked.append((path, head, body))
            fault = next((fault for start, fault in self.faults.items() if path.startswith(start)), None)
            if fault is not None:
                fault(self, connection)
            else:
                self.answer_well(connection, path, head, body)

    def answer_well(self, connection: socket.socket, path: str, head: bytes, body: bytes) -> None:
        if path.startswith("/ws"):
            shake_hands(connection, head)
            self.ending.wait(_CALM)
        elif path.startswith("/upload/image"):
            send_json(connection, {"name": "a.png", "subfolder": "x", "type": "input"})
        elif path.startswith("/prompt"):
            self.prompts.append(json.loads(body)["prompt_id"])
            send_json(connection, {"prompt_id": self.prompts[-1]})
        elif path.startswith("/history/"):
            identity = path.rpartition("/")[2]
            outputs = {"26": {"images": [{"filename": "r.png", "subfolder": "", "type": "output"}]}}
            entry = {"status": {"status_str": "success"}, "outputs": outputs}
            send_json(connection, {identity: entry} if identity in self.prompts else {})
        elif path.startswith("/queue"):
            send_json(connection, {"queue_running": [], "queue_pending": []})
        elif path.startswith("/view"):
            send(connection, picture(), "image/png")
        elif path.startswith(HUB):
            digest = hashlib.sha256(DOWNLOADED).hexdigest()
            told = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(DOWNLOADED)), "X-Linked-Etag": f'"{digest}"'}
            more = "".join(f"{name}: {value}\r\n" for name, value in told.items())
            send(connection, b"", status="302 Found", more=f"{more}Location: {self.address}{STORED}/{digest}\r\n")
        elif path.startswith(STORED):
            send(connection, DOWNLOADED, "application/octet-stream")
        elif path.startswith("/v1/chat"):
            text = '{"B1": {"consistency": 4, "accuracy": 3}}'
            send_json(connection, {"choices": [{"message": {"content": text}}]})
        else:
            send_json(connection, {})


def picture() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (16, 12), (40, 80, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def send(
    connection: socket.socket, body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = ""
) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )
    connection.sendall(head.encode() + body)


def send_json(connection: socket.socket, value: object) -> None:
    send(connection, json.dumps(value).encode())


def shake_hands(connection: socket.socket, head: bytes) -> None:
    keys = [
        line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    ]
    accept = base64.b64encode(hashlib.sha1((keys or [b""])[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def _rest(connection: socket.socket, head: bytes, body: bytes) -> bytes:
    lower = head.lower()
    if b"expect: 100-continue" in lower:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(1 << 16)
        return body
    lengths = [int(line.split(b":")[1]) for line in lower.split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < (lengths or [0])[0]:
        body += connection.recv(1 << 16)
    return body


def _answers(body: bytes, status: str = "200 OK", more: str = "", kind: str = "application/json") -> Fault:
    return lambda _server, connection: send(connection, body, kind, status, more)


def _raw(data: bytes) -> Fault:
    return lambda _server, connection: connection.sendall(data)


def _drip(server: HostileServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(int(_CALM / 0.1)):
        connection.sendall(b" ")
        if server.ending.wait(0.1):
            return


def _silence(server: HostileServer, _connection: socket.socket) -> None:
    server.ending.wait(_CALM)


def _endless(server: HostileServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    for _ in range(_ENDLESS >> 16):
        if server.ending.is_set():
            return
        connection.sendall(b"[" * (1 << 16))


def _redirect(status: int) -> Fault:
    def fault(server: HostileServer, connection: socket.socket) -> None:
        send(connection, b"", status=f"{status} Elsewhere", more=f"Location: {server.elsewhere}\r\n")

    return fault


def _echo(server: HostileServer, connection: socket.socket) -> None:
    _, head, body = server.asked[-1]
    send(
        connection,
        json.dumps({"error": {"message": (head + body).decode(errors="replace")}}).encode(),
        status="400 Bad",
    )


def messages(*texts: bytes) -> Fault:
    """Text messages on the WebSocket, after which it stays open."""

    def fault(server: HostileServer, connection: socket.socket) -> None:
        shake_hands(connection, server.asked[-1][1])
        for text in texts:
            connection.sendall(_frame(1, text))
        server.ending.wait(_CALM)

    return fault


def _frames(*frames: bytes) -> Fault:
    def fault(server: HostileServer, connection: socket.socket) -> None:
        shake_hands(connection, server.asked[-1][1])
        for frame in frames:
            connection.sendall(frame)
        server.ending.wait(0.5)

    return fault


def _frame(kind: int, data: bytes, final: bool = True) -> bytes:
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return bytes([kind | (0x80 if final else 0)]) + length + data


Fault = Callable[[HostileServer, socket.socket], None]
_DEEP = b"[" * 200_000
_FORMS: tuple[object, ...] = (
    None,
    5,
    "text",
    [],
    [1],
    {"": None},
    {"name": 5},
    {"error": []},
    {"node_errors": {"a": 3}},
)
FAULTS: dict[str, Fault] = {
    **{f"form {number}": _answers(json.dumps(form).encode()) for number, form in enumerate(_FORMS)},
    **{f"refusal {number}": _answers(json.dumps(form).encode(), "400 Bad") for number, form in enumerate(_FORMS)},
    **{
        f"status {status}": _answers(b"{}", f"{status} X")
        for status in (201, 204, 401, 404, 413, 429, 500, 502, 503, 599)
    },
    **{f"redirect {status}": _redirect(status) for status in (301, 302, 303, 307, 308)},
    "no json": _answers(b"<html>\x1b[2J</html>", kind="text/html"),
    "not utf-8": _answers(b'{"a": "\xff\xfe"}'),
    "deep": _answers(_DEEP),
    "digits": _answers(b'{"a": ' + b"9" * 6000 + b"}"),
    "surrogates": _answers(b'{"name": "\\ud800", "subfolder": "\\udfff", "error": {"message": "\\ud800"}}', "400 Bad"),
    "nothing": _raw(b""),
    "garbage": _raw(b"\x00\xff" * 500),
    "half a head": _raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "long head": _raw(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000 + b"\r\n\r\n"),
    "many heads": _raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 30_000 + b"\r\n"),
    "too short": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{}"),
    "bad length": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
    "bad chunks": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    "packed": _answers(gzip.compress(bytes(1 << 24)), more="Content-Encoding: gzip\r\n"),
    "cookies": _answers(b"{}", more="Set-Cookie: \x01=\x02; domain=*\r\n"),
    "drip": _drip,
    "silence": _silence,
    "endless": _endless,
    "echo": _echo,
}
TEXTS: dict[str, tuple[bytes, ...]] = {
    "garbage text": (b"\x00{[not json", b"[]", b'"x"', b'{"data": 5}'),
    "deep": (b"[" * 60_000,),
    "digits": (b"9" * 6000,),
    "unhashable": (b'{"type": "executing", "data": {"node": null, "prompt_id": []}}',),
}
"""Of messages that say nothing; others may follow."""
WEBSOCKET: dict[str, Fault] = {
    **{name: _frames(*(_frame(1, text) for text in texts)) for name, texts in TEXTS.items()},
    "not utf-8": _frames(_frame(1, b"\xff\xfe\xfd")),
    "reserved bits": _frames(b"\xf1\x01a"),
    "long claim": _frames(b"\x81\x7f" + (1 << 62).to_bytes(8, "big") + b"abc"),
    "never ends": _frames(*[_frame(1 if not number else 0, b"a" * 60_000, False) for number in range(100)]),
    "no handshake": _raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "redirect": _redirect(307),
    "silence": _silence,
    "garbage": _raw(b"\x00\xff" * 500),
}


@contextmanager
def hostile(seed: int, **faults: Fault) -> Generator[HostileServer]:
    """Serve in the block. Without ``faults``, which are by the first part of a path, they are drawn from the seed."""
    server = HostileServer(seed, {f"/{path}": fault for path, fault in faults.items()})
    if not faults:
        server.draw_faults()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server.port = listener.getsockname()[1]
        listener.settimeout(0.01)

        def accept() -> None:
            while not server.ending.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.ending.set()
            accepting.join()
