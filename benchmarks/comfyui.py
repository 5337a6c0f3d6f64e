"""A real ComfyUI in this process, with the pack installed in it."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "comfyui"


def start_comfyui(base: Path) -> Host:  # noqa: F821 - the tests' Host, importable only once its folder is known
    """Start ComfyUI on the CPU, as ``main.py --cpu`` does, with an empty base folder."""
    comfyui = find()
    from host import Host

    return Host(comfyui, base)


def find() -> Path:
    """Find the ComfyUI that is measured in, as the tests do."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from find_comfyui import find_comfyui

    found = find_comfyui()
    if found is None:
        raise SystemExit("There is no ComfyUI to measure in. Put one at ~/ComfyUI or set COMFYUI_PATH.")
    return found
