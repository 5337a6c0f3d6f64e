"""One real ComfyUI for all host tests; without one they are skipped, and ``tests/conftest.py`` says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from edits import install_golden

from comfyui_host.find import find_comfyui
from comfyui_host.host import Host

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    comfyui = find_comfyui()
    assert comfyui is not None
    torch.set_num_threads(1)  # models this small lose more by threads than they win
    arguments, path = sys.argv, list(sys.path)
    host = Host(comfyui, tmp_path_factory.mktemp("comfyui") / "base", "--fp32-text-enc", "--fp32-vae")
    install_golden(host)
    yield host
    sys.argv, sys.path[:] = arguments, path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip every test of this folder on a machine without a ComfyUI."""
    if find_comfyui() is None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skipif(True, reason="no ComfyUI was found"), append=False)
