"""One real ComfyUI, and one server, for all host tests; without a ComfyUI ``tests/conftest.py`` skips them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from edits import Edit, install_golden

from comfyui_host.find import find_comfyui
from comfyui_host.host import Host
from comfyui_host.server import ComfyServer


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


@pytest.fixture
def edit(host: Host) -> Edit:
    """A graph of the golden edit."""
    return Edit(host)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ComfyServer, np.ndarray]]:
    """A server on which every shipped workflow runs once it is light, and the first picture that it ever sampled.

    No relation has acted on this picture.
    """
    from light_server import LIGHT, Run, complaints, light_prompt, without_relation
    from shipped import furnished

    with furnished(tmp_path_factory.mktemp("light"), LIGHT, threads=1) as server:
        first = Run(server, without_relation(light_prompt(server)))
        assert "ApplyRelationAdapter" not in first.executed and "SamplerCustomAdvanced" in first.executed
        assert complaints(server) == []
        yield server, first.picture()


@pytest.fixture(scope="session")
def light_server(first_run: tuple[ComfyServer, np.ndarray]) -> ComfyServer:
    """The server alone."""
    return first_run[0]
