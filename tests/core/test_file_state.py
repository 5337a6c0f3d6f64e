"""What tells that a file was replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relation_core.files import file_state as module
from relation_core.files.file_state import entry_state, file_state


def test_the_entry_tells_a_file_that_brings_its_length_and_time_along(tmp_path: Path) -> None:
    path, other = tmp_path / "x", tmp_path / "y"
    states: list[object] = []
    for data in (b"old", b"new", b"one"):
        path.write_bytes(data)
        os.utime(path, (1, 1))
        states += [entry_state(path)]
    other.write_bytes(b"two")
    os.utime(other, (1, 1))
    other.replace(path)
    states += [entry_state(path)]
    assert len(set(states)) == (4 if os.name != "nt" else 2)


@pytest.mark.parametrize("size", [1, 16 << 20])
def test_contents_tell_where_the_entry_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "entry_state", lambda _: (size, 1, 1, 1))  # as Windows may have it
    path = tmp_path / "x"
    path.write_bytes(bytes(size))
    before = file_state(path)
    assert file_state(path) == before
    path.write_bytes(bytes(size - 1) + b"x")
    assert file_state(path) != before


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes((16 << 20) + 1))

    def read(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "open_regular", read)
    assert file_state(path) == (str(path), *entry_state(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert file_state(tmp_path / "pipe")[0] == str(tmp_path / "pipe")
