"""A real ComfyUI in this process, with the pack installed in it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "comfyui"


def comfyui_version() -> str:
    """Version of the ComfyUI that is measured in."""
    words = (_comfyui() / "comfyui_version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.*)"', words)[1]  # type: ignore[index]


def start_comfyui(base: Path) -> Host:  # noqa: F821 - the tests' Host, importable only once its folder is known
    """Start ComfyUI on the CPU, as ``main.py --cpu`` does, with an empty base folder."""
    found = _comfyui()
    from host import Host

    return Host(found, base)


def _comfyui() -> Path:
    sys.path.insert(0, str(TESTS))
    from find_comfyui import find_comfyui

    found = find_comfyui()
    if found is None:
        raise SystemExit("There is no ComfyUI to measure in. Put one at ~/ComfyUI or set COMFYUI_PATH.")
    return found
