"""ComfyUI's real page in a real Chromium. Run by ``make test-browser`` only."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comfyui_host.server import ComfyServer

if TYPE_CHECKING:
    from comfyui_host.page import ComfyPage

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "comfyui")]

collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server on which every shipped workflow opens without a missing file, and runs once it is light.

    Its page is the one that is installed, or the one in the folder ``$COMFYUI_FRONTEND``: ``static`` of another version
    of ``comfyui-frontend-package``.
    """
    from light_server import LIGHT
    from shipped import furnished

    base = tmp_path_factory.mktemp("browser")
    frontend = os.environ.get("COMFYUI_FRONTEND")
    flags = ("--front-end-root", frontend) if frontend else ()
    with furnished(base, LIGHT, threads=1, flags=flags) as server:
        for name in ("t5xxl_fp16.safetensors", "t5xxl_fp8_e4m3fn_scaled.safetensors"):
            (base / "models" / "text_encoders" / name).touch()  # listed, and never opened
        yield server


@pytest.fixture(scope="session")
def of_core(server: ComfyServer) -> frozenset[str]:
    """Kinds of complaints that the page makes of core nodes alone."""
    from core_graph import complaints_of_core

    return complaints_of_core(server)


@pytest.fixture(scope="session", params=["classic", "nodes_2"])
def renderer(request: pytest.FixtureRequest) -> str:
    """The page's two ways to draw nodes."""
    return request.param


@pytest.fixture(scope="module")
def shared_page(server: ComfyServer, renderer: str) -> Iterator[ComfyPage]:
    """A page in that renderer, for tests that follow one another in it."""
    from comfyui_host.canvas_layout import open_renderer
    from comfyui_host.page import open_page

    with open_page(server.address) as page:
        open_renderer(page, renderer == "nodes_2")
        try:
            yield page
        finally:
            open_renderer(page, nodes_2=False)  # the server remembers it for the next page


@pytest.fixture
def cleared_page(shared_page: ComfyPage) -> ComfyPage:
    """The shared page without a workflow and what earlier tests left: it remembers pictures by the numbers of nodes."""
    shared_page.page.evaluate("() => app.canvas.setGraph(app.graph)")  # the page seeks again a subgraph that was open
    shared_page.settle()
    shared_page.page.evaluate("() => app.clean()")
    shared_page.complaints.clear()
    return shared_page


@pytest.fixture
def rendered_page(server: ComfyServer, shared_page: ComfyPage) -> Iterator[ComfyPage]:
    """A new page of the same browser."""
    from comfyui_host.page import ComfyPage

    browser = shared_page.page.context.browser
    assert browser is not None
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    yield ComfyPage(page, server.address)
    page.close()
