"""How much memory there is."""

from __future__ import annotations

import importlib
from typing import Any

_LEFT = 1 << 30
"""Bytes that are left to others."""
_SMALL = 1 << 20
"""Bytes that are taken without asking."""


def fits_in_memory(size: int) -> bool:
    """Whether so many bytes can be taken, as far as that is known."""
    try:
        psutil: Any = importlib.import_module("psutil")  # of ComfyUI's requirements, and of accelerate's
    except ImportError:
        return True
    return size <= _SMALL or size + _LEFT <= psutil.virtual_memory().available
