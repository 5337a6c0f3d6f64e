"""Files that change, or say too little of themselves, while they are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relation_core.files.json_file import read_json
from relation_core.files.regular_file import open_regular, read_regular

SAYS_NOTHING = Path("/proc/self/status")
"""A regular file of 0 bytes, in which there is more to read."""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_that_takes_the_files_place_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "x", os.open
    path.write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")

    def late(name: Path, flags: int) -> int:
        (tmp_path / "pipe").replace(path)
        return opened(name, flags)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(OSError, match="it is a pipe; expected a regular file"):
        open_regular(path)


@pytest.mark.skipif(not SAYS_NOTHING.exists(), reason="files of Linux")
def test_a_file_that_says_it_is_empty_is_not_read_without_end() -> None:
    assert SAYS_NOTHING.stat().st_size == 0
    with pytest.raises(OSError, match=r"it has .* MB; expected at most"):
        read_regular(SAYS_NOTHING, 10)


@pytest.mark.parametrize("most", [0, 1, 10])
def test_a_file_may_be_as_large_as_is_expected_and_no_larger(tmp_path: Path, most: int) -> None:
    (tmp_path / "x").write_bytes(bytes(most))
    assert read_regular(tmp_path / "x", most) == bytes(most)
    (tmp_path / "x").write_bytes(bytes(most + 1))
    with pytest.raises(OSError, match="expected at most"):
        open_regular(tmp_path / "x", most)


@pytest.mark.parametrize("depth", [101, 900, 200_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_json_is_read_to_a_depth_that_the_stack_bears(tmp_path: Path, depth: int, opens: str, closes: str) -> None:
    (tmp_path / "x").write_text(opens * 100 + "1" + closes * 100)
    assert read_json(tmp_path / "x")
    (tmp_path / "x").write_text(opens * depth + "1" + closes * depth)
    with pytest.raises(ValueError, match="it is nested too deeply"):
        read_json(tmp_path / "x")
