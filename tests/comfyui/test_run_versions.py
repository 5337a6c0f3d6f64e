"""``make test-versions`` fails where one of the ComfyUIs fails, or is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_host.find import find_comfyui
from scripts.run_versions import main, version_of

ONE_FILE = "--ignore-glob=**/test_[!n]*.py"
"""Leaves out all host tests but a few: what the other files import takes half a minute."""


def test_a_folder_without_comfyui_fails_and_no_folder_is_no_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(tmp_path)], tmp_path) == 1
    assert f"{tmp_path} is no ComfyUI" in caplog.text
    assert main([], tmp_path) == 2
    assert "COMFYUI_VERSIONS" in caplog.text


def test_a_line_tells_how_each_run_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    comfyui = find_comfyui()
    assert comfyui is not None
    version = version_of(comfyui)
    assert main([str(comfyui), "--", ONE_FILE, "-k", "test_these_are_all_nodes"], tmp_path) == 0
    assert f"passed    ComfyUI {version}" in caplog.text and "1 passed" in caplog.text
    caplog.clear()
    assert main([str(comfyui), "--", ONE_FILE, "-k", "no_test_has_this_name"], tmp_path) == 1
    assert f"FAILED    ComfyUI {version}" in caplog.text
