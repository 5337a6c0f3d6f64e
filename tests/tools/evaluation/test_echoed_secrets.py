"""A server that says the password or key that it was sent, wherever an answer has words: nothing shows or keeps it."""

from __future__ import annotations

import base64
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from finished_run import FinishedRun, make_run
from hasty_clients import SECRET, evaluate, judge
from hostile_server import HostileServer, hostile, send, send_json

from relation_core.errors import RelationAdapterError

SENT = base64.b64encode(f"user:{SECRET}".encode()).decode()


def _head(server: HostileServer) -> str:
    return server.asked[-1][1].decode()


def in_text(server: HostileServer, connection: socket.socket) -> None:
    send(connection, _head(server).encode())


def in_the_status(server: HostileServer, connection: socket.socket) -> None:
    line = next(line for line in _head(server).splitlines() if line.lower().startswith("authorization"))
    send(connection, b"", status=f"400 {line}")


def in_a_failure(server: HostileServer, connection: socket.socket) -> None:
    identity = server.asked[-1][0].rpartition("/")[2]
    error = {"node_type": "N", "exception_type": "E", "exception_message": _head(server)}
    status = {"status_str": "error", "messages": [["execution_error", error]]}
    send_json(connection, {identity: {"status": status, "outputs": {}}})


def in_a_reply(server: HostileServer, connection: socket.socket) -> None:
    send_json(connection, {"choices": [{"message": {"content": _head(server)}}]})


FORMS: dict[str, Any] = {form.__name__: form for form in (in_text, in_the_status, in_a_failure, in_a_reply)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(
    ("path", "form", "key"),
    [
        *((path, form, False) for path in ("upload", "prompt", "view") for form in ("in_text", "in_the_status")),
        *(("history", form, False) for form in ("in_text", "in_the_status", "in_a_failure")),
        *(("v1", form, key) for form in ("in_text", "in_a_reply") for key in (False, True)),
    ],
)
def test_no_secret_is_shown_or_kept(
    made: FinishedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, form: str, key: bool
) -> None:
    """The secret is a password in the address, or a judge's key."""
    caplog.set_level(logging.DEBUG)
    with hostile(0, **{path: FORMS[form]}) as server:
        address = server.address if key else server.address.replace("//", f"//user:{SECRET}@")
        try:
            said = str((judge if path == "v1" else evaluate)(made, tmp_path, address))
        except RelationAdapterError as error:
            said = str(error)
        heads = b"".join(head for _, head, _ in server.asked)
    assert (SECRET if key else SENT).encode() in heads
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (SECRET, SENT):
        assert secret not in said + caplog.text and secret.encode() not in kept
