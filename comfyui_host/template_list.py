"""The page's list of the workflows that a pack brings."""

from __future__ import annotations

from playwright.sync_api import Locator

from .page import ComfyPage


def open_template_list(page: ComfyPage, pack: str) -> Locator:
    """Open the template browser at a pack's workflows; give the dialog. A newer page holds only those in sight."""
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_text(pack, exact=True).click()
    dialog.locator("img").first.wait_for()
    page.settle()
    return dialog
