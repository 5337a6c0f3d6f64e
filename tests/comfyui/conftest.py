"""One real ComfyUI for all host tests; without one they are skipped, and the count is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from find_comfyui import find_comfyui
from host import Host


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    comfyui = find_comfyui()
    assert comfyui is not None
    arguments, path = sys.argv, list(sys.path)
    yield Host(comfyui, tmp_path_factory.mktemp("comfyui") / "base", "--fp32-text-enc", "--fp32-vae")
    sys.argv, sys.path[:] = arguments, path
