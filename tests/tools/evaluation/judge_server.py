"""A judge that is a real HTTP server on this machine."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


@dataclass
class Judge:
    """Answers chat completions with scores that it makes of what it is shown."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Answers to be given first: status and text."""
    usage: tuple[int, int] | None = None
    """Tokens that it says a request and a reply have."""
    address: str = ""

    def answer(self, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, str]:
        self.requests.append(body)
        self.keys.append(key)
        if path != "/v1/chat/completions":
            return 404, "no such path"
        if self.answers:
            status, text = self.answers.pop(0)
            return (status, text) if status != 200 else (200, completion(text, self.usage))
        _, picture = body["messages"][0]["content"]
        data = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
        self.pictures.append(np.asarray(Image.open(BytesIO(data))))
        consistency, accuracy = scores_of(self.pictures[-1])
        return 200, completion(
            f'```json\n{{"B1": {{"consistency": {consistency}, "accuracy": {accuracy}}}}}\n```', self.usage
        )


def completion(text: str, usage: tuple[int, int] | None = None) -> str:
    counts = {} if usage is None else {"usage": dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))}
    message = {"role": "assistant", "content": text}
    return json.dumps({"id": "x", "choices": [{"index": 0, "message": message}], **counts})


def scores_of(picture: np.ndarray) -> tuple[float, float]:
    return round(1 + 4 * picture[..., 0].mean() / 255, 3), round(1 + 4 * picture[..., 2].mean() / 255, 3)


@contextmanager
def served_judge() -> Iterator[Judge]:
    served = Judge()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                status, text = served.answer(self.path, self.headers.get("Authorization"), body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    served.address = f"http://127.0.0.1:{server.server_port}/v1"
    yield served
    server.shutdown()
    server.server_close()


def access(judge: Judge) -> dict[str, str]:
    return {"RELATION_JUDGE_URL": judge.address, "RELATION_JUDGE_MODEL": "critic", "RELATION_JUDGE_KEY": "secret-key"}
