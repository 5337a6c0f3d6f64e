"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from relation_tools.dataset.atomic import Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path / "unfinished")
    made.clear()
    return made


def test_nothing_is_there_until_the_text_is_whole(scratch: Scratch, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.jsonl"
    with scratch.text(path) as file:
        file.write("first half, ")
        file.flush()
        assert not path.exists()
        file.write("naïve\n")
    assert path.read_bytes() == "first half, naïve\n".encode()


def test_a_failure_leaves_the_old_text(scratch: Scratch, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text("old")

    with pytest.raises(RuntimeError), scratch.text(path) as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old"


def test_a_failure_leaves_the_old_bytes(scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.jpg"
    scratch.write(path, b"old")
    whole = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        whole(self, data[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(OSError, match="No space"):
            scratch.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(scratch.folder.iterdir())) == 1
    scratch.clear()
    assert list(scratch.folder.iterdir()) == []
