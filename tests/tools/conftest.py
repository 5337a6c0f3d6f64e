"""Lets the tests of the tools use the helpers of the core's tests and of the evaluation's, also when they run alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "evaluation"))
