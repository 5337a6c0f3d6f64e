"""Workflows that earlier commits shipped, opened in the page of today."""

from __future__ import annotations

from pathlib import Path

import pytest
from canvas import drop, faults
from core_graph import complaints
from old_prompts import WORKFLOWS, old_prompt, without_titles

from comfyui_host.page import ComfyPage

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_opens_and_posts_what_it_posted(cleared_page: ComfyPage, path: Path, of_core: frozenset[str]) -> None:
    """And the defaults of inputs that came later."""
    page = cleared_page
    drop(page, path)
    assert faults(page) == []
    assert without_titles(page.prompt()) == old_prompt(path)
    assert complaints(page, of_core) == []
