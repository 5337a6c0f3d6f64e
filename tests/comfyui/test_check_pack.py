"""The static checks, which `make check` runs, find what they are there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_host.find import find_comfyui
from scripts.archive import write_archive
from scripts.check_pack import guard, lint, main


def test_a_tool_that_finds_something_fails_the_check(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The tools that need a ComfyUI, in a folder that is none."""
    caplog.set_level("INFO")
    (tmp_path / "main.py").touch()
    assert main([str(tmp_path)]) == 1
    passed, guard_says, files_say = (record.message for record in caplog.records)
    assert passed == "comfy-test: passed"
    assert "comfy.ldm.flux" in guard_says
    assert "No module named 'comfy" in files_say


def test_without_a_comfyui_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert main([]) == 0
    assert caplog.records[-1].message == "comfy-import-guard and scripts.node_files were skipped: no ComfyUI was found."


@pytest.mark.parametrize("line", ["x = y.to('cuda')", "layer = nn.Linear(1, 2)", "arrow = '\u2191'"])
def test_the_lint_finds_what_does_not_belong(tmp_path: Path, line: str) -> None:
    write_archive(tmp_path)
    (tmp_path / "nodes" / "more.py").write_text(f"{line}\n", encoding="utf-8")
    assert not lint(tmp_path)


def guarded(folder: Path, line: str) -> bool:
    """Hold the archive, with one more line in it, against the ComfyUI of the tests."""
    comfyui = find_comfyui()
    assert comfyui is not None
    archive = folder / "install" / "custom_nodes" / "relation-adapter"
    write_archive(archive)
    (archive / "nodes" / "more.py").write_text(f"{line}\n", encoding="utf-8")
    return guard(folder / "install", comfyui, folder / "cache")


def test_this_comfyui_has_all_that_the_pack_takes(tmp_path: Path) -> None:
    assert guarded(tmp_path, "from comfy.ldm.flux.layers import DoubleStreamBlock")


@pytest.mark.parametrize(
    "line",
    ["from comfy.ldm.flux.layers import NoSuchBlock", "import comfy.utils\ncomfy.utils.ProgressBar()"],
    ids=["name", "call"],
)
def test_the_guard_finds_what_comfyui_does_not_have(tmp_path: Path, line: str) -> None:
    assert not guarded(tmp_path, line)
