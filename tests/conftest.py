"""Loads the pack as ``relation_adapter``, so that its ``nodes`` never hides ComfyUI's; says what was not tested."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).resolve().parent / "golden"


def _load_pack() -> None:
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    spec = importlib.util.spec_from_file_location(
        "relation_adapter", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["relation_adapter"] = module
    spec.loader.exec_module(module)


_load_pack()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in words what was not tested."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", ()) if "no ComfyUI was found" in str(report.longrepr)
    ]
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
