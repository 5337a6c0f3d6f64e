"""Servers that misbehave: no traceback, no hang, bounded memory, nothing sent elsewhere, no secret shown."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from finished_run import FinishedRun, make_run
from hasty_clients import PATIENCE, SECRET, evaluate, judge
from hostile_server import DOWNLOADED, FAULTS, HUB, STORED, TEXTS, WEBSOCKET, Fault, HostileServer, hostile, messages
from PIL import Image

from relation_core.adapter.download import ADAPTER_FILE, download_adapter
from relation_core.errors import RelationAdapterError
from relation_tools.evaluation.runner import RunSummary
from relation_tools.evaluation.server import Patience, Server
from relation_tools.evaluation.transport import open_session


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT does before huggingface_hub is imported."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


LONGEST, MOST = 10.0, 300 << 10
"""Seconds a run may take, and KiB that it may add to the process's memory."""
SEEDS = range(200)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Samples and results; the first meeting, which imports the libraries, is with an honest server."""
    made = make_run(tmp_path_factory.mktemp("run"))
    with hostile(0, nothing=FAULTS["nothing"]) as server:
        assert evaluate(made, tmp_path_factory.mktemp("first"), server.address).done == 2
    return made


def attack(made: FinishedRun, folder: Path, address: str, client: str) -> str:
    """Let a client meet a server; return all that it says. Errors other than the project's own get out."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        said = str((evaluate if client == "run" else judge)(made, folder, address))
    except RelationAdapterError as error:
        said = str(error)
    assert time.monotonic() - started < LONGEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST
    return said


def attack_by_seeds(made: FinishedRun, folder: Path, seeds: Sequence[int]) -> None:
    def meet(seed: int, client: str) -> None:
        faults = {"v1": FAULTS[list(FAULTS)[seed % len(FAULTS)]]} if client == "judge" else {}
        with hostile(seed, **faults) as server:
            own = folder / f"{client}{seed}"
            said = attack(made, own, server.address.replace("//", f"//user:{SECRET}@"), client)
            assert SECRET not in said, (seed, client)
            kept = [path for path in own.rglob("*") if path.is_file()]
            assert not [path for path in kept if SECRET.encode() in path.read_bytes()], (seed, client)

    at_once(partial(meet, seed, client) for seed in seeds for client in ("run", "judge"))


def at_once(meetings: Iterable[Callable[[], None]]) -> None:
    """Hold meetings several at a time, since most of each is waiting."""
    with ThreadPoolExecutor(8) as pool:
        for held in [pool.submit(meeting) for meeting in meetings]:
            held.result()


def test_a_sample_of_hostile_servers(made: FinishedRun, tmp_path: Path) -> None:
    attack_by_seeds(made, tmp_path, SEEDS[:12])


@pytest.mark.slow
def test_all_hostile_servers(made: FinishedRun, tmp_path: Path) -> None:
    attack_by_seeds(made, tmp_path, SEEDS)


@pytest.mark.parametrize("name", WEBSOCKET)
def test_nothing_on_the_websocket_ends_a_run(made: FinishedRun, tmp_path: Path, name: str) -> None:
    with hostile(0, ws=WEBSOCKET[name]) as server:
        assert evaluate(made, tmp_path, server.address) == RunSummary(2, {})


ENDED = b'{"type": "executing", "data": {"node": null, "prompt_id": "known"}}'


@pytest.mark.parametrize("name", TEXTS)
def test_messages_that_say_nothing_are_passed_over(made: FinishedRun, name: str) -> None:
    """What follows them on the same WebSocket is heard: nothing else asks for the prompt before a minute is over."""

    async def wait(address: str) -> dict[str, object]:
        async with open_session() as session:
            server = Server(address, session, Patience(poll=60.0, request=0.5))
            async with server.listening():
                return await asyncio.wait_for(server.wait("known"), 5)

    with hostile(0, ws=messages(*TEXTS[name], ENDED)) as server:
        server.prompts.append("known")
        assert asyncio.run(wait(server.address))


@pytest.mark.parametrize("name", sorted({*WEBSOCKET} - {*TEXTS, "silence"}))
def test_a_websocket_that_breaks_is_opened_again(made: FinishedRun, name: str) -> None:
    async def listen(address: str) -> None:
        async with open_session() as session, Server(address, session, PATIENCE).listening():
            for _ in range(60):
                if len(server.asked) > 1:
                    return
                await asyncio.sleep(0.05)

    with hostile(0, ws=WEBSOCKET[name]) as server:
        asyncio.run(listen(server.address))
        assert len(server.asked) > 1


def download(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the downloader meet a server; return what it says. Errors other than the project's own get out."""
    point_to(address, monkeypatch)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(RelationAdapterError) as caught:  # even what is sent well is no adapter
        download_adapter(folder, lambda done, total: None)
    assert time.monotonic() - started < LONGEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST
    kept = [path for path in folder.glob("*") if path.suffix != ".lock"]
    assert sum(path.stat().st_size for path in kept) <= len(DOWNLOADED) + 1000
    assert not (folder / ADAPTER_FILE).exists() or (folder / ADAPTER_FILE).read_bytes() == DOWNLOADED
    return str(caught.value)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("huggingface_hub.constants", "huggingface_hub.file_download"):
        for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
            monkeypatch.setattr(f"{module}.{name}", 0.5, raising=False)
    monkeypatch.setattr("relation_core.adapter.download._BUSY_TRIES", 1)


@pytest.mark.parametrize("place", [HUB, STORED])
@pytest.mark.parametrize("name", sorted(FAULTS)[::4])
def test_hostile_servers_of_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str) -> None:
    impatient(monkeypatch)
    with hostile(0, **{place.strip("/"): FAULTS[name]}) as server:
        assert download(server.address, tmp_path, monkeypatch).isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("place", [HUB, STORED])
def test_all_hostile_servers_of_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    impatient(monkeypatch)
    for name, fault in FAULTS.items():
        with hostile(0, **{place.strip("/"): fault}) as server:
            assert download(server.address, tmp_path / name, monkeypatch).isprintable(), name


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_goes_to_another_host(made: FinishedRun, tmp_path: Path, status: int) -> None:
    def meet(path: str, other: HostileServer) -> None:
        with hostile(0, **{path: FAULTS[f"redirect {status}"]}) as server:
            server.elsewhere = f"http://localhost:{other.port}/stolen"
            attack(made, tmp_path / path, server.address, "judge" if path == "v1" else "run")

    with hostile(0, nothing=FAULTS["nothing"]) as other:
        paths = ("upload", "prompt", "history", "view", "ws", "system_stats", "v1")
        at_once(partial(meet, path, other) for path in paths)
        assert other.asked == []


def test_a_body_without_end_is_not_read() -> None:
    async def read(address: str) -> None:
        async with open_session() as session:
            await Server(address, session, Patience(request=LONGEST)).submit({}, "0")

    longer = pytest.raises(RelationAdapterError, match="longer than 16,777,216 bytes; expected less")
    with hostile(0, prompt=FAULTS["endless"]) as server, longer:
        asyncio.run(read(server.address))


@pytest.mark.parametrize("path", ["history", "queue", "view"])
def test_a_server_of_which_one_part_is_gone_is_not_asked_for_ever(made: FinishedRun, tmp_path: Path, path: str) -> None:
    with hostile(0, **{path: FAULTS["status 502"]}) as server:
        attack(made, tmp_path, server.address, "run")


@pytest.mark.parametrize("path", ["upload", "prompt", "history", "view", "v1", "v1/chat"])
def test_a_server_that_echoes_what_it_is_sent(
    made: FinishedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """By the password in its address, or, of a judge, by its key."""
    sent = base64.b64encode(f"user:{SECRET}".encode()).decode()
    caplog.set_level(logging.DEBUG)
    with hostile(0, **{path: FAULTS["echo"]}) as server:
        address = server.address if path == "v1" else server.address.replace("//", f"//user:{SECRET}@")
        said = attack(made, tmp_path, address, "judge" if path.startswith("v1") else "run")
        heads = b"".join(head for _, head, _ in server.asked)
    assert (SECRET if path == "v1" else sent).encode() in heads
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (SECRET, sent):
        assert secret not in said + caplog.text and secret.encode() not in kept


def test_only_pictures_are_sent_and_anew(made: FinishedRun, tmp_path: Path) -> None:
    """A sample whose pictures are links to a secret, and a picture with a secret in its metadata."""
    data = tmp_path / "dataset"
    shutil.copytree(made.file.parent, data)
    samples = made.samples()
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET * 100)
    (data / samples[0]["source"]).unlink()
    (data / samples[0]["source"]).symlink_to(secret)
    (data / samples[1]["source"]).unlink()
    exif = Image.Exif()
    exif[0x010E] = SECRET
    Image.new("RGB", (16, 12)).save(data / samples[2]["source"], "PNG", exif=exif)
    assert SECRET.encode() in (data / samples[2]["source"]).read_bytes()
    with hostile(0, nothing=FAULTS["nothing"]) as server:
        found = evaluate(FinishedRun(data / made.file.name, tmp_path), tmp_path / "run", server.address, 4)
        sent = b"".join(body for _, _, body in server.asked)
    assert found.done == 2 and sorted(found.failed) == [0, 1]
    assert SECRET.encode() not in sent and b"\x89PNG" in sent


@pytest.mark.parametrize("body", [b"no picture", b"%!PS\nquit", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_results_that_are_no_pictures_fail_alone(made: FinishedRun, tmp_path: Path, body: bytes) -> None:
    def bad(_server: object, connection: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)  # type: ignore[attr-defined]

    fault: Fault = bad
    with hostile(0, view=fault) as server:
        found = evaluate(made, tmp_path, server.address)
    assert found.done == 0 and sorted(found.failed) == [0, 1]
    assert all("what http://127.0.0.1" in message for message in found.failed.values())
    assert not (tmp_path / "results").exists()


def test_a_picture_that_is_replaced_during_the_run_is_run_again(made: FinishedRun, tmp_path: Path) -> None:
    data = tmp_path / "dataset"
    shutil.copytree(made.file.parent, data)
    copy = FinishedRun(data / made.file.name, tmp_path / "run")

    def replaced_meanwhile(server: HostileServer, connection: socket.socket) -> None:
        Image.new("RGB", (8, 8), (255, 0, 0)).save(data / copy.samples()[0]["cond1"])
        server.answer_well(connection, "/view", b"", b"")

    with hostile(0, view=replaced_meanwhile) as server:
        assert evaluate(copy, tmp_path / "run", server.address, 1).done == 1
        assert evaluate(copy, tmp_path / "run", server.address, 1).done == 1
        assert len(server.prompts) == 2
        assert evaluate(copy, tmp_path / "run", server.address, 1).done == 1
        assert len(server.prompts) == 2


def test_a_picture_that_was_replaced_is_run_and_judged_again(made: FinishedRun, tmp_path: Path) -> None:
    data = tmp_path / "dataset"
    shutil.copytree(made.file.parent, data)
    copy = FinishedRun(data / made.file.name, tmp_path / "run")
    with hostile(0, nothing=FAULTS["nothing"]) as server:
        assert evaluate(copy, tmp_path / "run", server.address).done == 2
        submitted = len(server.prompts)
        assert evaluate(copy, tmp_path / "run", server.address).done == 2
        assert submitted == len(server.prompts) == 2
        assert judge(copy, tmp_path / "run", server.address) == {}
        asked = len(server.asked)
        assert judge(copy, tmp_path / "run", server.address) == {} and len(server.asked) == asked
        name = data / copy.samples()[1]["cond1"]
        times = name.stat()
        Image.new("RGB", (8, 8), (255, 0, 0)).save(name)
        os.utime(name, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert judge(copy, tmp_path / "run", server.address) == {} and len(server.asked) == asked + 1
        assert evaluate(copy, tmp_path / "run", server.address).done == 2
        assert len(server.prompts) == 3
