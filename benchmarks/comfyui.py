"""A real ComfyUI in this process, with the pack installed in it."""

from __future__ import annotations

from pathlib import Path

from comfyui_host.find import find_comfyui
from comfyui_host.host import Host


def start_comfyui(base: Path) -> Host:
    """Start ComfyUI on the CPU, as ``main.py --cpu`` does, with an empty base folder."""
    return Host(find(), base)


def find() -> Path:
    """Find the ComfyUI that is measured in, as the tests do."""
    found = find_comfyui()
    if found is None:
        raise SystemExit("There is no ComfyUI to measure in. Put one at ~/ComfyUI or set COMFYUI_PATH.")
    return found
