"""On a machine without a ComfyUI the host tests are skipped, and the run says so loudly and in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TWO_WORKERS = re.search(r"-m pytest (-n 2 .+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
HOST_TESTS = """
import pytest
pytestmark = pytest.mark.parametrize("number", range({count}))
def test_in_a_host(number): raise AssertionError("it ran")
@pytest.mark.skipif(True, reason="no ComfyUI-GGUF at $COMFYUI_GGUF_PATH")
def test_with_gguf(number): ...
@pytest.mark.slow
def test_slow(number): ...
"""
CORE_TESTS = """
import logging
import pytest
@pytest.fixture(scope="module")
def costly():
    with open("made", "a") as file:
        file.write("x")
@pytest.mark.parametrize("number", range(20))
def test_core(costly, number):
    logging.warning("not Unicode: %s", bytes([255]).decode("utf-8", "surrogateescape"))
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack with this one's settings of pytest, and tests that take no time."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "comfyui_host", tmp_path / "comfyui_host", ignore=lambda *_: ["__pycache__"])
    for folder in ("comfyui", "core"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "core" / "test_core.py").write_text(CORE_TESTS)
    return tmp_path


def run(pack: Path, count: int, *options: str) -> str:
    """Run its tests where there is no ComfyUI; return what pytest says."""
    (pack / "tests" / "comfyui" / "test_host.py").write_text(HOST_TESTS.format(count=count))
    command = [sys.executable, "-m", "pytest", "--color=no", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "COMFYUI_PATH": str(pack / "nowhere")}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=pack, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_the_run_says_what_was_not_tested(pack: Path, workers: int) -> None:
    assert TWO_WORKERS is not None
    said = run(pack, 3, *(TWO_WORKERS[1].split() if workers == 2 else ()))
    assert "!!! ComfyUI was NOT tested !!!" in said
    assert "No ComfyUI was found, so all 6 tests that run the nodes inside a real one were" in said
    assert "Set COMFYUI_PATH to a ComfyUI checkout" in said
    assert "ComfyUI-GGUF was NOT tested" not in said
    assert "20 passed, 6 skipped" in said.splitlines()[-1]
    assert (pack / "made").read_text() == "x", "what a file's tests share was made by each worker"


def test_one_test_is_told_of_as_one(pack: Path) -> None:
    assert "so the 1 test that runs the nodes inside a real one were" in run(pack, 1, "-k", "test_in_a_host")


def test_every_host_test_is_skipped(pytestconfig: pytest.Config) -> None:
    """The folder that the rule speaks of is the one where they are."""
    conftest = next(plugin for plugin in pytestconfig.pluginmanager.get_plugins() if hasattr(plugin, "HOST_TESTS"))
    assert conftest.HOST_TESTS == ROOT / "tests" / "comfyui"
    assert (conftest.HOST_TESTS / "test_golden.py").is_file()
