"""Lets the tests of this folder share the helpers of the engine's tests."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]

for folder in (TESTS / "tools" / "diffusers_host", TESTS / "core"):
    sys.path.insert(0, str(folder))
