"""Makes paired datasets of small pictures, shaped like Relation252K."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CATEGORIES = ("Low-Level", "Style Transfer", "Image Editing", "Customized Generation")


@dataclass(frozen=True)
class Shape:
    """How large a dataset is, and how its pictures look."""

    tasks: int
    pictures: int
    """Of every task."""
    side: int = 32
    suffix: str = ".jpg"


def task_name(number: int) -> str:
    return f"{number + 1}-Task_{number:03d}"


def categories(shape: Shape) -> dict[str, str]:
    return {task_name(task): CATEGORIES[task % len(CATEGORIES)] for task in range(shape.tasks)}


def paired_picture(task: int, number: int, side: int, odd: bool = False, line: int = 0) -> Image.Image:
    """Draw a picture whose halves no other (task, number) has: the right half is the left one with the task's edit."""
    rng = np.random.default_rng((task, number))
    base = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((side, side), Image.BICUBIC)
    edited = Image.fromarray(255 - np.asarray(base)) if task % 2 else base.transpose(Image.FLIP_TOP_BOTTOM)
    ImageDraw.Draw(edited).rectangle((2, 2, 2 + task % 7, 2 + task // 7 % 7), fill=(task, 255 - task, 128))
    gap = line or int(odd)
    sheet = Image.new("RGB", (2 * side + gap, side), (255, 255, 255) if line else (90, 120, 40))
    sheet.paste(base, (0, 0))
    sheet.paste(edited, (side + gap, 0))
    return sheet


def entry(task: int, number: int, name: str) -> dict[str, str]:
    return {
        "left_image_description": f"Picture {number} of task {task}.",
        "right_image_description": f"The same picture, edited as task {task} does it.",
        "edit_instruction": f"Apply edit {task} to picture {number}: naïve, «quoted», \u7f16\u8f91.",
        "img_name": name,
    }


def hub_dataset(root: Path, shape: Shape) -> Path:
    """Write ``<task>/Group1/`` with pictures and a ``labels.json``, as on the hub. Some widths are odd."""
    for task in range(shape.tasks):
        folder = root / task_name(task) / "Group1"
        folder.mkdir(parents=True)
        entries = [entry(task, number, name) for number, name in _pictures(folder, task, shape)]
        (folder / "labels.json").write_text(json.dumps(entries, ensure_ascii=False, indent=2), encoding="utf-8")
    return root


def listed_dataset(root: Path, shape: Shape, suffix: str) -> Path:
    """Write all tasks with one ``.jsonl`` or ``.json`` above them; return that file."""
    entries: list[dict[str, str]] = []
    for task in range(shape.tasks):
        folder = root / task_name(task)
        folder.mkdir(parents=True)
        entries += [entry(task, number, f"{folder.name}/{name}") for number, name in _pictures(folder, task, shape)]
    file = root / f"pairs{suffix}"
    lines = [json.dumps(fields, ensure_ascii=False) for fields in entries]
    text = "\n".join(lines) + "\n" if suffix == ".jsonl" else "[\n" + ",\n".join(lines) + "\n]"
    file.write_text(text, encoding="utf-8")
    return file


def _pictures(folder: Path, task: int, shape: Shape) -> Iterator[tuple[int, str]]:
    for number in range(shape.pictures):
        name = f"image {number}{shape.suffix}"
        odd, line = number % 11 == 3, 4 * (number % 11 == 7)
        paired_picture(task, number, shape.side, odd, line).save(folder / name, quality=95)
        yield number, name
