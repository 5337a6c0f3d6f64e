"""ComfyUI's real page in a real Chromium. Run by ``make test-browser`` only."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "comfyui")]

collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A server with small models under all the real names, and ComfyUI's example picture."""
    from find_comfyui import find_comfyui
    from light_server import started

    from relation_adapter.scripts.small_models import SmallSizes

    comfyui = find_comfyui()
    assert comfyui is not None
    with started(tmp_path_factory.mktemp("browser"), SmallSizes(), threads=0) as server:
        shutil.copy(comfyui / "input" / "example.png", server.base / "input")
        yield server
