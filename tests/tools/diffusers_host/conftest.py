"""The golden cases, with diffusers as the host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from golden_case import CASES, GoldenCase


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> GoldenCase:
    """Each of the golden cases."""
    return GoldenCase.load(request.param)
