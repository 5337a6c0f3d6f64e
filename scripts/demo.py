"""The demo: the shipped workflow in a real ComfyUI server, on this machine's CPU, with small random models.

``python -m scripts.demo COMFYUI`` writes ``build/demo/result.png`` and ``build/demo/comparison.png``.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .comfyui_server import PACK, ComfyServer, Message, Prompt, ServerError
from .small_models import write_models
from .workflow_to_api import workflow_to_api

logger = logging.getLogger(__name__)

WORKFLOW = PACK / "workflows" / "relation_transfer.json"
OUTPUT = PACK / "build" / "demo"
PICTURES = {"Before": "cat_before.jpg", "After": "cat_after.jpg", "Source": "coffee.jpg"}
"""What each Load Image node gets, by its title."""
RESULTS = {"Result": "result.png", "Comparison": "comparison.png"}
"""What is kept of the pictures that nodes write, by their titles."""


def main() -> int:
    """Run the demo; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if len(sys.argv) != 2 or not Path(sys.argv[1], "main.py").is_file():
        logger.error("Usage: python -m scripts.demo COMFYUI, where COMFYUI is the folder of a ComfyUI.")
        return 2
    comfyui = Path(sys.argv[1]).resolve()
    logger.info("The models of this demo are small and random: the picture will show that everything runs, from the")
    logger.info("exemplar pair to the result, but no edit. For edits, fetch the real models that the README lists.\n")
    with tempfile.TemporaryDirectory(prefix="relation_demo_") as folder:
        try:
            return _run(comfyui, Path(folder))
        except ServerError as error:
            logger.error("%s", error)
            return 1


def _run(comfyui: Path, base: Path) -> int:
    logger.info("Writing small models under the real names ...")
    write_models(base / "models")
    (base / "input").mkdir()
    for name in PICTURES.values():
        shutil.copy(PACK / "pictures" / name, base / "input")
    logger.info("Starting ComfyUI (%s) on the CPU ...", comfyui)
    with ComfyServer(comfyui, base) as server:
        prompt = workflow_to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.get("object_info"))
        nodes = {node["_meta"]["title"]: identity for identity, node in prompt.items()}
        for title, name in PICTURES.items():
            prompt[nodes[title]]["inputs"]["image"] = name
        logger.info("Running %s:", WORKFLOW.relative_to(PACK))
        outcome = server.run(prompt, _Progress(prompt).show)
        if outcome.status != "success":
            logger.error("The workflow ended with '%s': %s", outcome.status, outcome.error)
            return 1
        OUTPUT.mkdir(parents=True, exist_ok=True)
        for title, name in RESULTS.items():
            shutil.copy(outcome.pictures[nodes[title]][0], OUTPUT / name)
    logger.info("\nThe result:           %s", OUTPUT / RESULTS["Result"])
    logger.info("A : A' :: B : B' :    %s", OUTPUT / RESULTS["Comparison"])
    return 0


class _Progress:
    """Says which node works, and how far it is."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._started = time.monotonic()
        self._count = 0

    def show(self, message: Message) -> None:
        if message.kind == "executing" and message.data.get("node"):
            self._count += 1
            node = self._prompt[message.data["node"]]
            note = "  (T5-XXL in its real size: a minute or two)" if node["class_type"] == "CLIPTextEncode" else ""
            seconds = time.monotonic() - self._started
            logger.info("%5.0f s  %2d  %s%s", seconds, self._count, node["_meta"]["title"], note)
        elif message.kind == "progress":
            value, total = int(message.data["value"]), int(message.data["max"])
            if value * 4 // total > (value - 1) * 4 // total:  # at every quarter
                logger.info("             step %d of %d", value, total)


if __name__ == "__main__":
    sys.exit(main())
