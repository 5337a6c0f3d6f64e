"""ComfyUI's real page in a real Chromium. Run by ``make test-browser`` only."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "comfyui")]

collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A server on which every shipped workflow can run as it is.

    Its page is the one that is installed, or the one in the folder ``$COMFYUI_FRONTEND``: ``static`` of another version
    of ``comfyui-frontend-package``.
    """
    from shipped import furnished

    frontend = os.environ.get("COMFYUI_FRONTEND")
    flags = ("--front-end-root", frontend) if frontend else ()
    with furnished(tmp_path_factory.mktemp("browser"), flags=flags) as server:
        yield server
