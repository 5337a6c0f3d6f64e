"""Skips the host tests where there is no ComfyUI, and says what was not tested."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from comfyui_host.find import find_comfyui

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is imported: models this small lose by more threads

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).resolve().parent / "golden"
HOST_TESTS = Path(__file__).resolve().parent / "comfyui"
NO_COMFYUI = "no ComfyUI was found"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the host tests on a machine without a ComfyUI."""
    if find_comfyui() is not None:
        return
    skipped = pytest.mark.skipif(True, reason=NO_COMFYUI)  # before other reasons, which `skip` would stand behind
    for item in items:
        if HOST_TESTS in item.path.parents:
            item.add_marker(skipped, append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in words what was not tested."""
    every = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    skipped = [reason for reason in every if NO_COMFYUI in reason]
    without_gguf = sum("no ComfyUI-GGUF at" in reason for reason in every)
    if without_gguf:
        terminalreporter.section("ComfyUI-GGUF was NOT tested", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"ComfyUI-GGUF was not found, so {without_gguf} tests with its quantised Flux were skipped. Put it at "
            "~/ComfyUI-GGUF, or set COMFYUI_GGUF_PATH, to run them."
        )
    if not skipped:
        return
    tests = "the 1 test that runs" if len(skipped) == 1 else f"all {len(skipped)} tests that run"
    terminalreporter.section("ComfyUI was NOT tested", sep="!", red=True, bold=True)
    terminalreporter.line(
        f"No ComfyUI was found, so {tests} the nodes inside a real one were skipped. What passed says nothing about "
        "ComfyUI.\nSet COMFYUI_PATH to a ComfyUI checkout whose requirements this environment has (make test "
        "installs them), put one at ~/ComfyUI, or clone this pack into a ComfyUI's custom_nodes; then run again."
    )


# A shell starts what runs in its background with interrupts ignored, and so would be every process of a test.
signal.signal(signal.SIGINT, signal.default_int_handler)
