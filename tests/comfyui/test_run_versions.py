"""``make test-versions`` fails where one of the ComfyUIs fails, or is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_host.find import find_comfyui
from scripts.run_versions import main, version_of

QUICK = ("--ignore-glob=**/test_[!w]*.py", "-k", "test_the_pictures_to_try")
"""Leaves one host test, which needs nothing of the host."""


def test_a_folder_without_comfyui_fails_and_no_folder_is_no_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(tmp_path)], tmp_path) == 1
    assert f"{tmp_path} is no ComfyUI" in caplog.text
    assert main([], tmp_path) == 2
    assert "COMFYUI_VERSIONS" in caplog.text


def test_a_line_tells_how_each_run_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    comfyui = find_comfyui()
    assert comfyui is not None
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # the run finds no other ComfyUI than the one it is told of
    version = version_of(comfyui)
    assert main([str(comfyui), "--", *QUICK], tmp_path) == 0
    assert f"passed    ComfyUI {version}" in caplog.text and "1 passed" in caplog.text
    caplog.clear()
    assert main([str(comfyui), "--", "-p", "no_such_plugin"], tmp_path) == 1
    assert f"FAILED    ComfyUI {version}" in caplog.text
