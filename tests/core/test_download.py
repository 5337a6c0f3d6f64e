"""Downloading the released adapter, from a server on this machine that plays the hub, well and badly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from random_weights import random_weights, write_bin

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.adapter.download import ADAPTER_FILE, REPOSITORY, download_adapter
from relation_core.errors import CheckpointError, DownloadError
from relation_core.weights.lock import BusyError, alone_at
from tests import local_hub
from tests.command_line import run
from tests.local_hub import COMMIT, Faults, LocalHub

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://huggingface.co/handsomeWilliam/RelationAdapter"
CONFIG = RelationConfig(blocks=3, heads=1, head_dim=128, tokens=4, text_dim=1024, vision_dim=12, projection_dim=20)
"""Some 3.5 MB: several of the pieces in which a file comes."""
CHUNK = 1 << 18
RECORD = f"{ADAPTER_FILE}.json"


class StoppedError(BaseException):
    """What a host raises when its user interrupts; not an Exception, as in newer ComfyUI."""


class Progress:
    """Notes what it is told, and stops the download at a position."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.told: list[tuple[int, int]] = []
        self._stop_at = stop_at

    def __call__(self, done: int, total: int) -> None:
        self.told.append((done, total))
        if self._stop_at is not None and done >= self._stop_at:
            raise StoppedError


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_bin(tmp_path_factory.mktemp("adapter") / "adapter.bin", random_weights(CONFIG)).read_bytes()


@pytest.fixture(scope="module")
def server(content: bytes) -> Iterator[LocalHub]:
    with LocalHub(content) as hub:
        yield hub


@pytest.fixture
def hub(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    server.forget()
    point_to(server.address, monkeypatch)
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "relation_adapter"


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT does before huggingface_hub is imported; versions before 1.0 have a copy of it."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def fails(folder: Path) -> str:
    """Download, which must fail; nothing may lie under the file's name, and the message must help."""
    with pytest.raises(DownloadError) as caught:
        download_adapter(folder, Progress())
    assert not (folder / ADAPTER_FILE).exists() and not (folder / RECORD).exists()
    message = str(caught.value)
    assert ADAPTER_FILE in message and str(folder) in message and "xpected" in message
    return message


def offers_the_other_way(message: str, folder: Path) -> bool:
    return f"ownload {ADAPTER_FILE} by hand from {ADDRESS} and put it in {folder}." in message


def stopped(folder: Path, position: int) -> int:
    """Download, and stop at this position; return how much is kept."""
    with pytest.raises(StoppedError):
        download_adapter(folder, Progress(stop_at=position))
    assert not (folder / ADAPTER_FILE).exists() and not (folder / RECORD).exists()
    (part,) = parts(folder)
    return part.stat().st_size


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("*.part"))


def assert_whole(hub: LocalHub, folder: Path) -> None:
    """The file is the hub's, it opens, and nothing else is left."""
    assert (folder / ADAPTER_FILE).read_bytes() == hub.content
    assert open_adapter(folder / ADAPTER_FILE).config.blocks == CONFIG.blocks
    assert {path.name for path in folder.iterdir()} == {ADAPTER_FILE, RECORD}


def test_a_whole_download(hub: LocalHub, folder: Path) -> None:
    progress = Progress()
    assert download_adapter(folder, progress).path == folder / ADAPTER_FILE
    assert_whole(hub, folder)
    assert json.loads((folder / RECORD).read_text()) == {
        "repository": "handsomeWilliam/RelationAdapter",
        "revision": COMMIT,
        "file": ADAPTER_FILE,
        "size": len(hub.content),
        "sha256": hub.sha256,
    }
    asked = [request for request in hub.requests if not request.path.startswith("/api/")]  # the library's own
    assert [(request.method, request.path.partition("?")[0]) for request in asked] == [
        ("HEAD", f"/{REPOSITORY}/resolve/main/{ADAPTER_FILE}"),
        ("GET", f"/{REPOSITORY}/resolve/{COMMIT}/{ADAPTER_FILE}"),
        ("GET", f"/stored/{hub.sha256}"),
    ]
    done = [position for position, _ in progress.told]
    assert {total for _, total in progress.told} == {len(hub.content)}
    assert done == sorted(done) and done[-1] == len(hub.content)
    assert len(set(done)) == -(-len(hub.content) // CHUNK)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_is_there_is_left_alone(hub: LocalHub, folder: Path, whole: bool) -> None:
    lying = hub.content if whole else hub.content[:-1000]
    folder.mkdir(parents=True)
    (folder / ADAPTER_FILE).write_bytes(lying)
    progress = Progress()
    if whole:
        assert download_adapter(folder, progress).path == folder / ADAPTER_FILE
    else:
        with pytest.raises(CheckpointError) as caught:
            download_adapter(folder, progress)
        assert f"{folder / ADAPTER_FILE} is not a complete" in str(caught.value)
        assert f"Remove it and run again to download it from {ADDRESS}." in str(caught.value)
    assert (folder / ADAPTER_FILE).read_bytes() == lying
    assert hub.requests == [] and progress.told == []
    assert [path.name for path in folder.iterdir()] == [ADAPTER_FILE]


def test_cut_connections_are_taken_up_where_they_broke(hub: LocalHub, folder: Path) -> None:
    cuts = [5 * CHUNK + 100, 3 * CHUNK + 7, CHUNK]
    hub.faults = Faults(cuts=list(cuts))
    download_adapter(folder, Progress())
    assert_whole(hub, folder)
    first, *later = hub.starts()
    assert first == 0 and len(later) == len(cuts)
    for cut, before, start in zip(cuts, [0, *later], later, strict=False):
        assert before + cut - CHUNK <= start <= before + cut, "more than a piece was fetched again"


def test_a_connection_that_always_breaks_ends_the_download_and_the_next_one_goes_on(
    hub: LocalHub, folder: Path
) -> None:
    hub.faults = Faults(cuts=[7 * CHUNK, *([0] * 20)])
    message = fails(folder)
    assert hub.address in message and "check the connection" in message and "what has arrived is kept" in message
    assert offers_the_other_way(message, folder)
    (part,) = parts(folder)
    kept = part.stat().st_size
    assert 6 * CHUNK <= kept <= 7 * CHUNK
    hub.forget()
    download_adapter(folder, Progress())
    assert hub.starts() == [kept]
    assert_whole(hub, folder)


def test_an_interrupt_stops_between_pieces_and_the_next_run_fetches_only_the_rest(hub: LocalHub, folder: Path) -> None:
    kept = stopped(folder, 4 * CHUNK)
    assert kept == 4 * CHUNK
    hub.forget()
    progress = Progress()
    download_adapter(folder, progress)
    assert hub.starts() == [kept]
    assert progress.told[0][0] == 5 * CHUNK
    assert_whole(hub, folder)


def test_an_interrupt_while_the_hash_is_checked_fetches_nothing_again(hub: LocalHub, folder: Path) -> None:
    assert stopped(folder, len(hub.content)) == len(hub.content)
    hub.forget()
    download_adapter(folder, Progress())
    assert hub.starts() == []
    assert_whole(hub, folder)


@pytest.mark.parametrize("wrong", ["hub", "bytes", "part"])
def test_a_wrong_hash(hub: LocalHub, folder: Path, wrong: str) -> None:
    if wrong == "hub":
        hub.faults = Faults(sha256="0" * 64)
    elif wrong == "bytes":
        hub.faults = Faults(sends=hub.content[:-1] + bytes([hub.content[-1] ^ 1]))
    else:
        stopped(folder, 4 * CHUNK)
        (part,) = parts(folder)
        part.write_bytes(bytes(part.stat().st_size))
    message = fails(folder)
    assert "sha256" in message and ("0" * 64 if wrong == "hub" else hub.sha256) in message
    assert offers_the_other_way(message, folder)
    assert parts(folder) == []
    hub.forget()
    download_adapter(folder, Progress())
    assert hub.starts() == [0]
    assert_whole(hub, folder)


@pytest.mark.parametrize("position", [0, 4 * CHUNK])
@pytest.mark.parametrize("wrong", ["longer", "shorter", "a page", "nothing"])
def test_a_wrong_size_is_found_before_anything_is_written(
    hub: LocalHub, folder: Path, wrong: str, position: int
) -> None:
    if position:
        stopped(folder, position)
    if wrong in ("longer", "shorter"):
        hub.faults = Faults(size=len(hub.content) + (-1000 if wrong == "longer" else 1000))
    else:
        hub.faults = Faults(sends=b"<html>Please log in</html>" if wrong == "a page" else b"", ignores_ranges=True)
    message = fails(folder)
    sent = len(hub.content) - position if wrong in ("longer", "shorter") else len(hub.faults.sends or b"")
    assert f"sends {sent} bytes" in message and "HF_ENDPOINT" in message
    assert offers_the_other_way(message, folder)
    assert [part.stat().st_size for part in parts(folder)] == ([position] if position else [])
    hub.forget()
    download_adapter(folder, Progress())
    assert hub.starts() == [position]
    assert_whole(hub, folder)


def test_a_server_that_does_not_say_how_much_it_sends(hub: LocalHub, folder: Path) -> None:
    hub.faults = Faults(says_no_length=True, cuts=[3 * CHUNK])
    download_adapter(folder, Progress())
    assert hub.starts() == [0, 3 * CHUNK]
    assert_whole(hub, folder)


@pytest.mark.parametrize("length", [-1, 1, 10 * CHUNK])
def test_a_server_that_sends_another_length_than_it_does_not_say(hub: LocalHub, folder: Path, length: int) -> None:
    hub.faults = Faults(says_no_length=True, sends=(hub.content + bytes(10 * CHUNK))[: len(hub.content) + length])
    said = fails(folder)
    assert offers_the_other_way(said, folder)
    assert ("sends more than" in said) == (length > 0)  # it is not read to its end
    hub.forget()
    download_adapter(folder, Progress())
    assert_whole(hub, folder)


def test_a_server_that_knows_no_ranges(hub: LocalHub, folder: Path) -> None:
    kept = stopped(folder, 4 * CHUNK)
    hub.forget()
    hub.faults = Faults(ignores_ranges=True)
    download_adapter(folder, Progress())
    assert hub.starts() == [kept]
    assert_whole(hub, folder)


def test_a_new_version_begins_anew_and_leaves_no_part_of_the_old_one(
    hub: LocalHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(folder, 4 * CHUNK)
    content = write_bin(tmp_path / "other.bin", random_weights(CONFIG, seed=1)).read_bytes()
    with LocalHub(content) as other:
        point_to(other.address, monkeypatch)
        download_adapter(folder, Progress())
        assert other.starts() == [0]
        assert_whole(other, folder)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_the_hub_refuses(hub: LocalHub, folder: Path, status: int) -> None:
    hub.faults = Faults(hub_statuses=[status] * 20)
    message = fails(folder)
    assert f"{hub.address}/{REPOSITORY}/resolve/main/{ADAPTER_FILE}" in message and str(status) in message
    assert offers_the_other_way(message, folder)
    assert hub.starts() == []


@pytest.mark.parametrize("status", [403, 404])
def test_the_storage_refuses(hub: LocalHub, folder: Path, status: int) -> None:
    hub.faults = Faults(statuses=[status])
    message = fails(folder)
    assert str(status) in message and offers_the_other_way(message, folder)
    assert hub.starts() == [0]


def test_a_busy_server_is_asked_again(hub: LocalHub, folder: Path) -> None:
    hub.faults = Faults(statuses=[503, 429])
    download_adapter(folder, Progress())
    assert hub.starts() == [0, 0, 0]
    assert_whole(hub, folder)


def test_a_server_that_stays_busy(hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.util.Retry.get_backoff_time", lambda _: 0)
    hub.faults = Faults(statuses=[503] * 100)
    message = fails(folder)
    assert "503 Server Error" in message and offers_the_other_way(message, folder)
    assert "signature" not in message
    assert len(hub.starts()) == 5


def test_no_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    point_to(address, monkeypatch)
    message = fails(folder)
    assert address in message and "check the connection" in message and offers_the_other_way(message, folder)


def test_a_server_that_falls_silent(hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1.0)

    def be_silent(position: int) -> None:
        if position >= 4 * CHUNK:
            hub.faults.on_piece = None
            time.sleep(3)

    hub.faults = Faults(on_piece=be_silent)
    download_adapter(folder, Progress())
    first, second = hub.starts()
    assert first == 0 and 3 * CHUNK <= second <= 4 * CHUNK
    assert_whole(hub, folder)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(without=("X-Repo-Commit",)),
        Faults(without=("X-Linked-Size",)),
        Faults(without=("X-Linked-Etag", "ETag")),
        Faults(sha256="5e0a-not-a-sha256"),
        Faults(size=0),
    ],
    ids=["commit", "size", "etag", "another kind of etag", "empty"],
)
def test_a_mirror_that_does_not_describe_the_file(hub: LocalHub, folder: Path, faults: Faults) -> None:
    hub.faults = faults
    message = fails(folder)
    assert "X-Linked-Etag" in message and "HF_ENDPOINT" in message and offers_the_other_way(message, folder)
    assert hub.starts() == [] and parts(folder) == []


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_said_before_anything_is_fetched(
    hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = stopped(folder, 4 * CHUNK)
    hub.forget()
    needed = len(hub.content) - kept
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, needed - 1))
    assert "Free some disk space" in fails(folder)
    assert hub.starts() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, needed))
    download_adapter(folder, Progress())
    assert hub.starts() == [kept]
    assert_whole(hub, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    arguments = [mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if mount is None or unmount is None or subprocess.run(arguments, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run([unmount, str(disk)], check=True)


def test_a_disk_that_fills_up_meanwhile(hub: LocalHub, small_disk: Path) -> None:
    folder = small_disk / "relation_adapter"
    other = small_disk / "other"

    def fill(position: int) -> None:
        if position >= 4 * CHUNK:
            hub.faults.on_piece = None
            other.write_bytes(bytes(4 << 20))

    hub.faults = Faults(on_piece=fill, seconds_a_piece=0.01)
    message = fails(folder)
    assert "No space left on device" in message and "make room and run again" in message
    (part,) = parts(folder)
    kept = part.stat().st_size
    assert 4 * CHUNK <= kept < len(hub.content)
    hub.forget()
    assert f"has 0.00 GB of room, and {ADAPTER_FILE} still needs" in fails(folder)
    assert hub.starts() == []
    other.unlink()
    download_adapter(folder, Progress())
    assert hub.starts() == [kept]
    assert_whole(hub, folder)


def test_a_folder_that_cannot_be_made(hub: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"could not be written to .*models.* \(Not a directory\)"):
        download_adapter(tmp_path / "models" / "relation_adapter", Progress())
    assert hub.requests == []


def test_two_at_once(hub: LocalHub, folder: Path) -> None:
    folder.mkdir(parents=True)
    with alone_at(folder / ADAPTER_FILE, "downloading"):
        with pytest.raises(BusyError, match="Another process is downloading"):
            download_adapter(folder, Progress())
        assert hub.requests == []
    download_adapter(folder, Progress())
    assert_whole(hub, folder)


def command(hub: LocalHub, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command line's download in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "relation_tools", "weights", "download", "--to", str(folder)],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": hub.address, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], status: int) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == status, output
    return output


def test_the_command_line(hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = ended(command(hub, folder), 0)
    assert_whole(hub, folder)
    assert str(folder / ADAPTER_FILE) in output and hub.address in output and "HTTP Request" not in output
    assert open_adapter(folder / ADAPTER_FILE).fingerprint in output
    hub.forget()
    for offline in (False, True):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        assert open_adapter(folder / ADAPTER_FILE).fingerprint in run("weights", "download", "--to", folder)
    assert hub.requests == []


def test_offline(hub: LocalHub, folder: Path) -> None:
    output = ended(command(hub, folder, HF_HUB_OFFLINE="1"), 1)
    assert "HF_HUB_OFFLINE is set" in output and offers_the_other_way(output, folder)
    assert "Traceback" not in output
    assert hub.requests == [] and not (folder / ADAPTER_FILE).exists()


@pytest.mark.parametrize("signal", ["SIGINT", "SIGKILL"])
def test_a_process_that_is_ended(hub: LocalHub, folder: Path, signal: str) -> None:
    import signal as signals

    process: list[subprocess.Popen[str]] = []

    def end(position: int) -> None:
        if position >= 6 * CHUNK:
            hub.faults.on_piece = None
            process[0].send_signal(getattr(signals, signal))
            process[0].wait(60)  # nothing more arrives

    hub.faults = Faults(on_piece=end, seconds_a_piece=0.02)
    process.append(command(hub, folder))
    output = ended(process[0], 130 if signal == "SIGINT" else -signals.SIGKILL)
    assert "Traceback" not in output
    assert not (folder / ADAPTER_FILE).exists()
    (part,) = parts(folder)
    kept = part.stat().st_size
    assert 0 < kept < len(hub.content)
    hub.forget()
    download_adapter(folder, Progress())
    assert hub.starts() == [kept]
    assert_whole(hub, folder)


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
sys.argv[1:] = ["weights", "download", "--to", sys.argv[1]]
runpy.run_module("relation_tools", run_name="__main__", alter_sys=True)
"""


def test_a_file_system_that_takes_no_files_that_large(hub: LocalHub, folder: Path) -> None:
    arguments = [sys.executable, "-c", LIMITED, str(folder)]
    environment = {**os.environ, "HF_ENDPOINT": hub.address}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr and str(folder) in done.stderr and "Traceback" not in done.stderr
    assert not (folder / ADAPTER_FILE).exists()
    (part,) = parts(folder)
    assert part.stat().st_size == 1 << 20


def test_the_played_hub_is_that_of_the_code() -> None:
    assert (local_hub.REPOSITORY, local_hub.FILE) == (REPOSITORY, ADAPTER_FILE)
    assert f"https://huggingface.co/{REPOSITORY}" == ADDRESS


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_that_is_planted_during_the_download_is_not_followed(hub: LocalHub, folder: Path) -> None:
    """Between two connections, when the unfinished file has been looked at."""
    precious = folder.parent / "precious"
    hub.faults.cuts = [2 * CHUNK]

    def plant(done: int, whole: int) -> None:
        (part,) = parts(folder)
        if not part.is_symlink():
            part.unlink()
            precious.write_bytes(b"precious")
            part.symlink_to(precious)

    with pytest.raises(DownloadError, match="could not be written"):
        download_adapter(folder, plant)
    assert precious.read_bytes() == b"precious"


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_planted_links_are_not_followed(hub: LocalHub, folder: Path) -> None:
    """Not at the unfinished file, nor at the record, nor at the other versions' unfinished files."""
    stopped(folder, 3)
    (part,) = parts(folder)
    precious = folder.parent / "precious"
    precious.write_bytes(b"precious")
    part.unlink()
    part.symlink_to(precious)
    (folder / f"{ADAPTER_FILE}.json").symlink_to(precious)
    (folder / f".{ADAPTER_FILE}.000000000000.part").symlink_to(precious)
    download_adapter(folder, lambda done, whole: None)
    assert_whole(hub, folder)
    assert precious.read_bytes() == b"precious"
    assert not any(path.is_symlink() for path in folder.iterdir())
