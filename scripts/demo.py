"""The demo: edits by the small model, on the CPU, without ComfyUI: ``python -m scripts.demo OUT``.

Draws pictures, makes the edit of each pair on another scene, which the model never saw, and writes a sheet of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.sample_sheet import SheetRow, sample_sheet
from relation_core.scenes.examples import draw_example
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_tools.commands.bar import progress_bar
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

from .demo_edits import EDITS, scenes_of, verdict

logger = logging.getLogger(__name__)

SETTINGS = EditSettings(steps=STEPS, long_side=0)
NAMES = ("before", "after", "source", "target")


def main() -> None:
    """Draw the pictures, edit them, and show what came out."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the pictures and the sheet")
    out: Path = parser.parse_args().out
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    started = time.monotonic()
    folders = [_draw(out / name, name, *scenes_of(number)) for number, name in enumerate(EDITS)]
    pipeline = RelationPipeline(load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32), "cpu")
    rows: list[SheetRow] = []
    with progress_bar("edits", "headless") as progress:
        progress.start(len(folders))
        for folder in folders:
            rows.append(_edit(pipeline, folder))
            progress.step()
    sample_sheet(rows, columns=2).save(out / "sheet.png")
    logger.info("%s", verdict([(name, pictures[3]) for name, pictures in rows]))
    seconds = time.monotonic() - started
    logger.info("%d edits in %.0f seconds. Every picture B' is the model's own.", len(folders), seconds)
    logger.info("A : A' :: B : B' beside the target:  %s", out / "sheet.png")


def _draw(folder: Path, edit: str, exemplar: int, source: int) -> Path:
    """Write an example's pictures; give their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for title, picture in zip(NAMES, draw_example(edit, exemplar, source), strict=True):
        picture.save(folder / f"{title}.png")
    return folder


def _edit(pipeline: RelationPipeline, folder: Path) -> SheetRow:
    """Edit the files of a folder; give the row that shows it."""
    before, after, source, target = (read_picture(folder / f"{title}.png") for title in NAMES)
    relation = pipeline.relation([(before, after)], [1.0])
    result = pipeline.edit(relation, source, pipeline.prompt(""), SETTINGS)
    result.save(folder / "result.png")
    return folder.name, (before, after, source, result, target)


if __name__ == "__main__":
    main()
