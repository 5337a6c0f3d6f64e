"""Finds the ComfyUI that the host tests run in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[1]


def find_comfyui() -> Path | None:
    """Look at ``$COMFYUI_PATH``, at the ComfyUI the pack is installed in, and at ``~/ComfyUI``, in this order."""
    named = os.environ.get("COMFYUI_PATH")
    candidates = [Path(named)] if named else [PACK.parent.parent, Path.home() / "ComfyUI"]
    return next((path.resolve() for path in candidates if (path / "comfy" / "ldm" / "flux").is_dir()), None)


if __name__ == "__main__":
    found = find_comfyui()
    if found is not None:
        sys.stdout.write(f"{found}\n")
