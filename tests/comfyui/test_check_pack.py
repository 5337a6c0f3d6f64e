"""The static checks pass, and find what they are there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_host.find import find_comfyui
from scripts.archive import write_archive
from scripts.check_pack import guard, lint, main


def test_the_pack_passes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert main([str(find_comfyui())]) == 0
    assert [record.message for record in caplog.records] == [
        f"{tool}: passed" for tool in ("comfy-test", "comfy-import-guard", "scripts.node_files")
    ]


def test_without_a_comfyui_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert main([]) == 0
    assert caplog.records[-1].message == "comfy-import-guard and scripts.node_files were skipped: no ComfyUI was found."


@pytest.mark.parametrize("line", ["x = y.to('cuda')", "layer = nn.Linear(1, 2)", "arrow = '\u2191'"])
def test_the_lint_finds_what_does_not_belong(tmp_path: Path, line: str) -> None:
    write_archive(tmp_path)
    (tmp_path / "nodes" / "more.py").write_text(f"{line}\n", encoding="utf-8")
    assert not lint(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["from comfy.ldm.flux.layers import NoSuchBlock", "import comfy.utils\ncomfy.utils.ProgressBar()"],
    ids=["name", "call"],
)
def test_the_guard_finds_what_comfyui_does_not_have(tmp_path: Path, line: str) -> None:
    comfyui = find_comfyui()
    assert comfyui is not None
    archive = tmp_path / "install" / "custom_nodes" / "relation-adapter"
    write_archive(archive)
    (archive / "nodes" / "more.py").write_text(f"{line}\n", encoding="utf-8")
    assert not guard(tmp_path / "install", comfyui, tmp_path / "cache")
