"""Lets the tests of this folder share their helpers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from read_hostile import find_helpers

find_helpers()
