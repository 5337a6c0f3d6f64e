"""Writes synthetic relations as a paired dataset, in the layout of Relation252K."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from relation_core.errors import DatasetError
from relation_core.progress import Progress
from relation_core.weights.atomic import appearing
from relation_core.weights.lock import alone_in

from ..drawn_scenes.drawing import draw
from ..drawn_scenes.relations import DrawnEdit
from ..drawn_scenes.scene import Scene, quiet_scene
from .rows import DESCRIPTIONS, INSTRUCTION, PICTURE


def write_dataset(out: Path, relations: Sequence[DrawnEdit], scenes: int, seed: int, progress: Progress) -> None:
    """Draw every relation of every scene, before on the left and after on the right, with a ``labels.json`` a relation.

    All relations share the same scenes, so that a source has a target of each: `measure` needs that, and `dataset
    build` holds a scene out of all of them at once. The same arguments give the same files.

    Args:
        out: the folder to write ``<relation>/Group1/`` in.
        relations: the relations.
        scenes: how many scenes.
        seed: of the scenes.
        progress: told of every scene.

    Raises:
        DatasetError: there is nothing to write, or ``out`` cannot be written.
        BusyError: another process draws there.
    """
    if scenes < 1 or not relations:
        raise DatasetError(f"Got {scenes} scenes and {len(relations)} relations; expected at least one of each.")
    try:
        with alone_in(out, "drawing into"):
            _write(out, relations, scenes, seed, progress)
    except OSError as error:
        raise DatasetError(f"Cannot write to '{out}': {error}. Choose a writable folder.") from error


def _write(out: Path, relations: Sequence[DrawnEdit], scenes: int, seed: int, progress: Progress) -> None:
    progress.start(scenes)
    folders = {relation.name: out / relation.name / "Group1" for relation in relations}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for index in range(scenes):
        _write_scene(quiet_scene(seed, index), relations, folders, _name(index))
        progress.step()
    for relation in relations:
        _write_labels(folders[relation.name], relation, scenes)


def _name(index: int) -> str:
    return f"scene_{index:06d}.png"


def _write_scene(scene: Scene, relations: Sequence[DrawnEdit], folders: dict[str, Path], name: str) -> None:
    before = draw(scene)
    for relation in relations:
        after = relation.edit(scene)
        both = Image.new("RGB", (before.width + after.width, before.height))
        both.paste(before, (0, 0))
        both.paste(after, (before.width, 0))
        with appearing(folders[relation.name] / name, synced=False) as part:
            both.save(part, "PNG")


def _write_labels(folder: Path, relation: DrawnEdit, scenes: int) -> None:
    left, right = DESCRIPTIONS
    entries = [
        {
            left: "A small scene.",
            right: f"The same scene, edited: {relation.name}.",
            INSTRUCTION: relation.instruction,
            PICTURE: _name(index),
        }
        for index in range(scenes)
    ]
    with appearing(folder / "labels.json") as unfinished:
        unfinished.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
