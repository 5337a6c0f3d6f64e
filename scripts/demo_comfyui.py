"""The same edits as in the demo, by a real ComfyUI server: ``python -m scripts.demo_comfyui COMFYUI``.

Runs ``workflows/try_it_small.json`` for each edit, and writes a sheet to ``build/demo-comfyui``.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from comfyui_host.server import PACK, ComfyServer, Prompt, ServerError
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.sample_sheet import SheetRow, sample_sheet
from relation_core.scenes.examples import draw_example

from .demo_edits import EDITS, scenes_of, verdict
from .workflow_to_api import workflow_to_api

logger = logging.getLogger(__name__)

WORKFLOW = PACK / "workflows" / "try_it_small.json"
OUTPUT = PACK / "build" / "demo-comfyui"


def main() -> int:
    """Run the demo; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if len(sys.argv) != 2 or not Path(sys.argv[1], "main.py").is_file():
        logger.error("Usage: python -m scripts.demo_comfyui COMFYUI, where COMFYUI is the folder of a ComfyUI.")
        return 2
    with tempfile.TemporaryDirectory(prefix="relation_demo_") as folder:
        try:
            _run(Path(sys.argv[1]).resolve(), Path(folder))
        except ServerError as error:
            logger.error("%s", error)
            return 1
    return 0


def _run(comfyui: Path, base: Path) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    rows: list[SheetRow] = []
    logger.info("Starting ComfyUI (%s) on the CPU ...", comfyui)
    with ComfyServer(comfyui, base) as server:
        prompt = workflow_to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.get("object_info"))
        for number, name in enumerate(EDITS):
            started = time.monotonic()
            result = OUTPUT / f"{name}.png"
            before, after, source, target = draw_example(name, *scenes_of(number))
            shown = read_picture(_edited(server, prompt, name, *scenes_of(number)))
            made = shown.reduce(shown.width // source.width)  # the workflow enlarges it, to look at
            made.save(result)
            rows.append((name, (before, after, source, made, target)))
            logger.info("%5.1f s  %s", time.monotonic() - started, name)
    sample_sheet(rows, columns=2).save(OUTPUT / "sheet.png")
    logger.info("%s", verdict([(name, pictures[3]) for name, pictures in rows]))
    logger.info("A : A' :: B : B' beside the target:  %s", OUTPUT / "sheet.png")


def _edited(server: ComfyServer, prompt: Prompt, edit: str, exemplar: int, source: int) -> Path:
    """Run the workflow for an edit; give its picture."""
    keys = {node["_meta"]["title"]: key for key, node in prompt.items()}
    prompt[keys["Example Pictures"]]["inputs"].update(edit=edit, exemplar_scene=exemplar, source_scene=source)
    outcome = server.run(prompt)
    if outcome.status != "success":
        raise ServerError(f"{WORKFLOW.name} ended with '{outcome.status}' for '{edit}': {outcome.error}")
    return outcome.pictures[keys["Result"]][0]


if __name__ == "__main__":
    sys.exit(main())
