"""Writes relations between painted landscapes as a run-ready dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from PIL import Image

from relation_core.errors import DatasetError, printable
from relation_core.files.json_file import json_text, read_json
from relation_core.progress import Progress
from relation_core.scenes.landscape import quiet_landscape
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import PaintedEdit
from relation_core.scenes.splits import draw_relation
from relation_core.settings.bounds import COUNT, SEED, Bounds, check_settings
from relation_core.weights.atomic import appearing, appearing_text, write_whole
from relation_core.weights.lock import alone_in

from ..ending import uninterrupted
from ..workers import divided

TRAIN = "train.jsonl"
RECORD = "landscapes.json"
"""What the pictures are drawn by."""
PAIRS = Bounds(2, 10**9, whole=True)
"""Of a relation: an exemplar, and another to make."""
_CHUNK = 50
_SHOWN = 200
"""Letters of a wrong record that a message shows."""
_FOLDER = 500
"""Landscapes, or relations, whose pictures share a folder."""


@dataclass(frozen=True)
class LandscapeOptions:
    """What is drawn."""

    relations: Annotated[int, COUNT] = 20_000
    """Drawn anew each, of those that are trained on."""
    scenes: Annotated[int, COUNT] = 6000
    """Unedited landscapes, which the relations share."""
    pairs: Annotated[int, PAIRS] = 3
    """Landscapes of every relation; each pair is shown as the exemplar of each other one."""
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_settings(self, DatasetError)
        if self.pairs > self.scenes:
            raise DatasetError(
                f"Got pairs = {self.pairs} and scenes = {self.scenes}; expected at least as many scenes. Change one of "
                "them."
            )


def write_landscapes(out: Path, options: LandscapeOptions, processes: int, progress: Progress) -> int:
    """Draw ``scenes/``, ``edited/`` and ``train.jsonl``; give the number of samples.

    The models that are pretrained on them need pictures alone. The same options give the same files, and after a kill
    the same call resumes.

    Raises:
        DatasetError: ``out`` cannot be written, or holds pictures that other options drew.
        BusyError: another process draws there.
        WorkerDiedError: one of the processes was killed.
    """
    try:
        with alone_in(out, "drawing into"):
            _check_record(out, options)
            _write_pictures(out, options, processes, progress)
            return _write_samples(out, options)
    except OSError as error:
        raise DatasetError(f"Cannot write to '{out}': {error}. Choose a writable folder.") from error


def _check_record(out: Path, options: LandscapeOptions) -> None:
    """Record what decides about a picture of a given name, or check that it is what drew those that are there.

    The number of relations may change: each is drawn by itself.
    """
    record, drawn_by = out / RECORD, {name: getattr(options, name) for name in ("seed", "scenes", "pairs")}
    if not record.exists() and not any(any(out.glob(f"{folder}/*/*.png")) for folder in ("scenes", "edited")):
        write_whole(record, json_text(drawn_by).encode())
        return
    try:
        found: object = read_json(record)
    except (OSError, ValueError):
        found = None
    if found != drawn_by:
        said = json_text(cast("Any", found)) if isinstance(found, dict) else "unknown options"
        raise DatasetError(
            f"The pictures in '{out}' were drawn with {printable(said)[:_SHOWN]}; expected {json_text(drawn_by)}. "
            "Choose another folder, or remove this one."
        )


def _write_pictures(out: Path, options: LandscapeOptions, processes: int, progress: Progress) -> None:
    progress.start(options.scenes + options.relations * options.pairs)
    names = [_scene_name(number) for number in range(0, options.scenes, _FOLDER)]
    names += [_edited_name(number, 0) for number in range(0, options.relations, _FOLDER)]
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    jobs = [partial(_write_scenes, out, options.seed, numbers) for numbers in _chunks(options.scenes)]
    jobs += [partial(_write_edited, out, options, numbers) for numbers in _chunks(options.relations)]
    with divided([_call] * processes, jobs) as done:
        for _, pictures in done:
            for _ in range(pictures):
                progress.step()


def _call(job: partial[int]) -> int:
    return job()


def _chunks(count: int) -> list[range]:
    return [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


def _write_scenes(out: Path, seed: int, numbers: range) -> int:
    for number in numbers:
        _write(out / _scene_name(number), partial(paint, quiet_landscape(seed, number)))
    return len(numbers)


def _write_edited(out: Path, options: LandscapeOptions, numbers: range) -> int:
    for number in numbers:
        relation = draw_relation(options.seed, number)
        for place, scene in enumerate(_scenes_of(options, number)):
            _write(out / _edited_name(number, place), partial(_edited, relation, options.seed, scene))
    return len(numbers) * options.pairs


def _edited(relation: PaintedEdit, seed: int, number: int) -> Image.Image:
    return relation.apply(quiet_landscape(seed, number))


def _write(path: Path, draw: partial[Image.Image]) -> None:
    if path.exists():
        return
    picture = draw()
    with uninterrupted(), appearing(path, synced=False) as unfinished:
        picture.save(unfinished, "PNG", compress_level=1)


def _scenes_of(options: LandscapeOptions, relation: int) -> list[int]:
    """Numbers of the landscapes that a relation is shown on."""
    rng = np.random.default_rng((options.seed, relation, 77))
    return rng.choice(options.scenes, options.pairs, replace=False).tolist()


def _scene_name(number: int) -> str:
    return f"scenes/{number // _FOLDER:03d}/{number:06d}.png"


def _edited_name(relation: int, place: int) -> str:
    return f"edited/{relation // _FOLDER:03d}/{relation:06d}_{place}.png"


def _write_samples(out: Path, options: LandscapeOptions) -> int:
    count = 0
    with appearing_text(out / TRAIN) as lines:
        for number in range(options.relations):
            instruction = draw_relation(options.seed, number).instruction
            scenes = _scenes_of(options, number)
            for shown, edited in permutations(range(options.pairs), 2):
                sample = {
                    "cond1": _scene_name(scenes[shown]),
                    "cond2": _edited_name(number, shown),
                    "source": _scene_name(scenes[edited]),
                    "target": _edited_name(number, edited),
                    "text": instruction,
                }
                lines.write(json.dumps(sample) + "\n")
                count += 1
    return count
