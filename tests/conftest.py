"""Skips the host tests where there is no ComfyUI, says what was not tested, and lets workers report any text."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

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


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape what UTF-8 cannot hold, such as half a file's name in a log: a worker that had to send it would end."""
    return escaped((yield))


def escaped(value: Any) -> Any:
    """Data of a report, with escapes in all of its strings."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(escaped, value))
    return value


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
