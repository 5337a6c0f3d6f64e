"""ComfyUI's real page in a real Chromium. Run by ``make test-browser`` only."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "comfyui")]

collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A server on which every shipped workflow can run as it is."""
    from shipped import furnished

    with furnished(tmp_path_factory.mktemp("browser")) as server:
        yield server
