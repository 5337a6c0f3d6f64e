"""Files appear whole or not at all; what a killed process left goes, and what a living one writes stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from relation_core.weights.atomic import appearing, appearing_text, write_whole
from relation_core.weights.lock import BusyError, alone_at, alone_in, drop_lock, take_lock

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="rights and links of POSIX")
WRITER = """
import sys, time
from pathlib import Path
from relation_core.weights.atomic import appearing
with appearing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer(target: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing a file."""
    command = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def parts(folder: Path) -> list[Path]:
    """What is written at the moment."""
    return list(folder.glob(".*/*/part"))


def entries_looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the system hands out from folders, from now on."""
    seen: list[str] = []
    scan, listing = os.scandir, os.listdir

    class Counted:
        def __init__(self, path: Any) -> None:
            self.scan = scan(path)

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            self.scan.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            for entry in self.scan:
                seen.append(entry.name)
                yield entry

    def counted_listing(path: Any = ".") -> list[str]:
        seen.extend(found := listing(path))
        return found

    monkeypatch.setattr(os, "scandir", Counted)
    monkeypatch.setattr(os, "listdir", counted_listing)
    return seen


@pytest.mark.parametrize("synced", [True, False])
def test_a_file_costs_the_same_beside_many_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.png").touch()
    seen = entries_looked_at(monkeypatch)
    assert len(os.listdir(tmp_path)) == len(seen) == 1000
    seen.clear()
    for number in range(50):
        write_whole(tmp_path / f"new {number}.png", b"", synced)
    assert len(seen) <= 50 * 4, "its part, its lock, and its folder"
    assert len(names(tmp_path)) == 1050


def test_nothing_is_there_until_the_text_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.jsonl"
    with appearing_text(path) as file:
        file.write("first half, ")
        file.flush()
        assert not path.exists()
        file.write("naïve\n")
    assert path.read_bytes() == "first half, naïve\n".encode()
    assert names(path.parent) == ["file.jsonl"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.jpg"
    write_whole(path, b"old")
    with pytest.raises(RuntimeError), appearing_text(path) as file:
        file.write("new")
        raise RuntimeError
    whole = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        whole(self, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["picture.jpg"]


def test_the_next_file_clears_what_a_kill_left_and_no_more(tmp_path: Path) -> None:
    with writer(tmp_path / "living") as living:
        with writer(tmp_path / "killed") as killed:
            killed.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
            killed.wait()
        assert len(parts(tmp_path)) == 2
        write_whole(tmp_path / "next", b"whole")
        assert "next" in names(tmp_path) and len(names(tmp_path)) == 2
        assert living.poll() is None
        (unfinished,) = parts(tmp_path)
        assert unfinished.read_bytes() == b"half"
    write_whole(tmp_path / "next", b"again")
    assert names(tmp_path) == ["next"]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 240 + ".safetensors"])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"whole")
    assert names(tmp_path) == [name]


@POSIX
def test_a_file_has_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    for umask, rights in ((0o022, 0o644), (0o002, 0o664), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            with appearing(tmp_path / f"weights {umask}") as part:
                save_file({"x": torch.zeros(1)}, part)
        finally:
            os.umask(before)
        assert (tmp_path / f"weights {umask}").stat().st_mode & 0o777 == rights


@POSIX
def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "folder"
    (precious / "inner").mkdir(parents=True)
    (precious / "file").write_bytes(b"precious")
    folder.mkdir()
    (folder / "target").symlink_to(precious / "file")
    with appearing(folder / "other") as part:
        part.touch()
        unfinished = part.parents[1]
        (unfinished / "link").symlink_to(precious, target_is_directory=True)
        (unfinished / "planted").mkdir()
        (unfinished / "planted" / "lock").symlink_to(precious / "made")
        write_whole(folder / "target", b"new")
    assert (folder / "target").read_bytes() == b"new" and not (folder / "target").is_symlink()
    assert (precious / "file").read_bytes() == b"precious"
    assert names(precious) == ["file", "inner"]


@POSIX
@pytest.mark.parametrize("as_link", [True, False])
def test_a_link_or_file_in_the_hidden_folders_place_is_named(tmp_path: Path, as_link: bool) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "folder"
    (precious / "inner").mkdir(parents=True)
    folder.mkdir()
    with appearing(folder / "target") as part:
        part.touch()
    unfinished = part.parents[1]
    unfinished.symlink_to(precious, target_is_directory=True) if as_link else unfinished.touch()
    with pytest.raises(OSError, match=f"It is a link or a file; expected a folder.*{unfinished.name}"):
        write_whole(folder / "target", b"new")
    assert (folder / "target").read_bytes() == b""
    assert names(precious) == ["inner"]


@POSIX
@pytest.mark.parametrize("rights", [0o600, 0o640, 0o444, 0o666])
def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path, rights: int) -> None:
    write_whole(tmp_path / "file", b"old")
    (tmp_path / "file").chmod(rights)
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == rights


@POSIX
def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "none" / "x", tmp_path / "file" / "x", tmp_path / ("x" * 256), Path("/proc/self/x")):
        with pytest.raises(OSError) as raised, appearing(target) as part:
            part.touch()
        assert raised.value.filename == str(target)
    assert names(tmp_path) == ["file"]


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as raised:
            write_whole(tmp_path / "x", b"")
    finally:
        tmp_path.chmod(0o700)
    assert raised.value.filename == str(tmp_path / "x") and names(tmp_path) == []


@POSIX
@pytest.mark.skipif(sys.platform == "darwin", reason="its names are UTF-8")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    write_whole(tmp_path / os.fsdecode(b"b\xffd"), b"whole")
    assert os.listdir(os.fsencode(tmp_path)) == [b"b\xffd"]


def test_many_processes_write_into_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from relation_core.weights.atomic import write_whole\n"
        "for number in range(40):\n    write_whole(Path(sys.argv[1]) / f'{sys.argv[2]} {number}', b'x', False)\n"
        "    write_whole(Path(sys.argv[1]) / 'shared', sys.argv[2].encode() * 1000, False)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(who)], cwd=ROOT, stderr=subprocess.PIPE)
        for who in range(4)
    ]
    assert [process.communicate()[1] for process in running] == [b""] * 4
    assert len(names(tmp_path)) == 4 * 40 + 1
    shared = (tmp_path / "shared").read_bytes()
    assert len(shared) == 1000 and len(set(shared)) == 1


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = take_lock(path)
    assert held is not None and take_lock(path) is None
    drop_lock(path, held)
    assert names(tmp_path) == []
    again = take_lock(path)
    assert again is not None
    drop_lock(path, again)


@POSIX
def test_a_lock_whose_file_goes_while_it_is_taken_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its last holder removes it: the lock of a file without a name would keep nobody out."""
    import fcntl

    path, lock, left = tmp_path / "lock", fcntl.flock, [2]

    def late(descriptor: int, how: int) -> None:
        if left[0]:
            left[0] -= 1
            path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    held = take_lock(path)
    assert held is not None and take_lock(path) is None
    drop_lock(path, held)


@POSIX
@pytest.mark.parametrize("synced", [True, False])
def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    """Else a power cut can leave an empty file under the name, in place of the old one."""
    target, sync, seen = tmp_path / "file", os.fsync, list[tuple[int, bool]]()

    def noted(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_ino, target.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write_whole(target, b"whole", synced)
    file, folder = target.stat().st_ino, tmp_path.stat().st_ino
    assert seen == ([(file, False), (folder, True)] if synced else [])


@POSIX
def test_a_disk_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import errno
    import fcntl

    def missing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", missing)
    with alone_in(tmp_path, "writing to"), alone_at(tmp_path / "file", "writing"):
        write_whole(tmp_path / "file", b"whole")
    assert [message.split(" has no locks.")[1:] for message in caplog.messages] == [
        [" Let no other process write there."]
    ] * 2
    assert names(tmp_path) == ["file"]


def test_names_that_differ_in_case_alone_are_one_where_both_are_written_at_a_time(tmp_path: Path) -> None:
    with alone_at(tmp_path / "Ä.png", "writing"):
        with (
            pytest.raises(BusyError, match=r"Another process is writing '.*ä.png'"),
            alone_at(tmp_path / "ä.png", "writing"),
        ):
            pass
        with alone_at(tmp_path / "b.png", "writing"):
            pass
    assert names(tmp_path) == []


def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    for kept, folder in ((False, tmp_path / "a" / "b"), (True, tmp_path / "c" / "d")):
        with pytest.raises(RuntimeError), alone_at(folder / "file", "writing"), alone_in(folder / "inner", "writing"):
            if kept:
                (folder / "other").touch()
            raise RuntimeError
        assert folder.exists() == kept and not (folder / "inner").exists()
    assert names(tmp_path) == ["c"]
