"""ComfyUI's own page in a real Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
READY_MS = 300_000
PATIENCE_MS = 180_000
"""How long a busy machine may take to show what was asked for, where a quiet one needs a second."""
SETTLE_MS, LOOK_MS, LONGEST_MS = 600, 100, 30_000
"""The page is settled once it has asked its server for nothing for so long; how often to look, and how long at most."""
GREETED = "Comfy.TutorialCompleted"
"""The setting by which a server knows that it had a visitor."""
_DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"


class ComfyPage:
    """The page of a running ComfyUI server, with what it complained about."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        """Errors and warnings on the console, and exceptions that nothing caught."""
        self._asked = 0
        self._answered: list[str] = []
        page.on("request", self._ask)
        page.on("requestfinished", self._answer)
        page.on("requestfailed", self._answer)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.set_default_timeout(PATIENCE_MS)
        greets = not page.request.get(f"http://{address}/api/settings", timeout=PATIENCE_MS).json().get(GREETED)
        page.goto(f"http://{address}/", timeout=READY_MS)
        page.wait_for_function("window.app?.graph && window.app.extensionManager", timeout=READY_MS)
        if greets:
            self._close_greeting()
        self.settle()

    def _close_greeting(self) -> None:
        """Close the template browser, which a server's first visitor finds over the canvas."""
        greeting = self.page.get_by_role("dialog")
        greeting.get_by_role("button", name="Close dialog", exact=True).click()
        greeting.wait_for(state="hidden")

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self.complaints.append(f"{message.type}: {message.text} ({where})")

    def _ask(self, _: Request) -> None:
        self._asked += 1

    def _answer(self, request: Request) -> None:
        self._answered.append(request.url)

    def settle(self, milliseconds: int = SETTLE_MS) -> None:
        """Wait until the page has drawn what was asked of it, and what it asked its server for meanwhile."""
        quiet, asked = 0, self._asked
        for _ in range(LONGEST_MS // LOOK_MS):
            self.page.wait_for_timeout(LOOK_MS)
            still = self._asked == asked and len(self._answered) >= self._asked
            quiet, asked = quiet + LOOK_MS if still else 0, self._asked
            if quiet >= milliseconds:
                break
        self.page.evaluate(_DRAWN)

    def wait_for_answer(self, part: str) -> None:
        """Wait until the page has got something whose address has this part."""
        if not any(part in address for address in self._answered):
            self.page.wait_for_event("requestfinished", lambda request: part in request.url)

    def load(self, workflow: dict[str, Any]) -> None:
        """Open a workflow as if it came from a file."""
        self.page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
        self.settle()

    def serialised(self) -> dict[str, Any]:
        """The workflow as the page saves it."""
        return json.loads(self.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).workflow)"))

    def prompt(self) -> dict[str, Any]:
        """The workflow in API form, as the page would post it."""
        return json.loads(self.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))

    def screenshot(self, path: Path) -> None:
        """Save what the window shows."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


@contextmanager
def open_page(address: str, width: int = 1600, height: int = 1000) -> Generator[ComfyPage, None, None]:
    """Open the page of a server in a new, headless Chromium.

    Raises:
        FileNotFoundError: there is no Chromium on this machine.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("There is no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        try:
            yield ComfyPage(browser.new_page(viewport={"width": width, "height": height}), address)
        finally:
            browser.close()
