"""Files appear whole or not at all; what a killed process left goes, and what a living one writes stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from relation_core.weights.atomic import appearing, appearing_text, write_whole
from relation_core.weights.lock import drop_lock, take_lock

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
        assert len(names(tmp_path)) == 2
        write_whole(tmp_path / "next", b"whole")
        assert "next" in names(tmp_path) and len(names(tmp_path)) == 2
        assert living.poll() is None
        (unfinished,) = tmp_path.glob(".relation-adapter-*/part")
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
            with appearing(tmp_path / "weights") as part:
                save_file({"x": torch.zeros(1)}, part)
        finally:
            os.umask(before)
        assert (tmp_path / "weights").stat().st_mode & 0o777 == rights


@POSIX
def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "folder"
    (precious / "inner").mkdir(parents=True)
    (precious / "file").write_bytes(b"precious")
    folder.mkdir()
    (folder / "target").symlink_to(precious / "file")
    (folder / ".relation-adapter-00000000.part").symlink_to(precious, target_is_directory=True)
    planted = folder / ".relation-adapter-00000001.part"
    planted.mkdir()
    (planted / "lock").symlink_to(precious / "made")
    write_whole(folder / "target", b"new")
    assert (folder / "target").read_bytes() == b"new" and not (folder / "target").is_symlink()
    assert (precious / "file").read_bytes() == b"precious"
    assert names(precious) == ["file", "inner"]


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = take_lock(path)
    assert held is not None and take_lock(path) is None
    drop_lock(path, held)
    assert names(tmp_path) == []
    again = take_lock(path)
    assert again is not None
    drop_lock(path, again)
