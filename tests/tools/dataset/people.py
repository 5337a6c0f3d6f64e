"""Writes small datasets in the layouts that people have."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from synthetic import paired_picture

TASKS = ("depth", "rain")
PICTURES = 4
SIDE = 24


def both(task: str, number: int) -> tuple[Image.Image, Image.Image]:
    """A picture before and after, which no other task or number has."""
    sheet = paired_picture(TASKS.index(task), number, SIDE)
    return sheet.crop((0, 0, SIDE, SIDE)), sheet.crop((SIDE, 0, 2 * SIDE, SIDE))


def said(task: str, number: int) -> str:
    return f"Do {task} with picture {number}, {chr(0x7F16)}."


def every() -> Iterator[tuple[str, int, Image.Image, Image.Image]]:
    for task in TASKS:
        for number in range(PICTURES):
            yield task, number, *both(task, number)


def put(path: Path, content: Image.Image | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        content.save(path, lossless=True)
    return path.name


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def folders_in_tasks(root: Path, before: str = "before", after: str = "after") -> Path:
    """Two folders in a folder of each task, with other endings, and texts beside the pictures after."""
    for task, number, one, other in every():
        put(root / task / before / f"{number}.png", one)
        put(root / task / after / f"{number}.webp", other)
        put(root / task / after / f"{number}.txt", said(task, number))
    return root


def tasks_in_folders(root: Path) -> Path:
    """Tasks below the two folders, and a folder of texts."""
    for task, number, one, other in every():
        put(root / "source" / task / f"{number}.png", one)
        put(root / "target" / task / f"{number}.png", other)
        put(root / "captions" / task / f"{number}.txt", said(task, number))
    return root


def names_in_a_folder(root: Path) -> Path:
    for task, number, one, other in every():
        put(root / task / f"{number}_before.png", one)
        put(root / task / f"{number}_after.png", other)
        put(root / task / f"{number}.txt", said(task, number) + "\n")
    return root


def a_folder_for_a_pair(root: Path) -> Path:
    for task, number, one, other in every():
        put(root / task / str(number) / "original.png", one)
        put(root / task / str(number) / "edited.png", other)
        put(root / task / str(number) / "instruction.txt", said(task, number))
    return root


def listed(root: Path, file: str, before: str, after: str, text: str, task: str = "", beside: bool = True) -> Path:
    """A ``.jsonl`` or ``.csv`` with two columns of pictures; their names are relative to it, or to the dataset."""
    rows: list[dict[str, str]] = []
    for name, number, one, other in every():
        place = (root / file).parent if beside else root
        folders = ("first", "second") if task else (f"first/{name}", f"second/{name}")
        paths = [f"{folder}/{name} {number}.png" for folder in folders]
        for path, picture in zip(paths, (one, other), strict=True):
            put(place / path, picture)
        row = {before: paths[0], after: paths[1], text: said(name, number), "id": str(number)}
        rows.append({**row, task: name} if task else row)
    stream = io.StringIO()
    if file.endswith(".csv"):
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        stream.write("".join(json.dumps(row) + "\n" for row in rows))
    put(root / file, stream.getvalue())
    return root


def authors_listing(root: Path, file: str) -> Path:
    """Pictures with both halves, which a list anywhere in the dataset names from the dataset's root."""
    rows: list[dict[str, str]] = []
    for task, number, *_ in every():
        name = f"{task}/Group1/{number}.png"
        put(root / name, paired_picture(TASKS.index(task), number, SIDE))
        rows.append({"img_name": name, "edit_instruction": said(task, number)})
    put(root / file, json.dumps(rows))
    return root


def parquet(root: Path, write: Callable[[Any, Path], None] | None = None, suffix: str = ".parquet") -> Path:
    """Two files, as the ``datasets`` library writes them."""
    for shard, task in enumerate(TASKS):
        (root / "data").mkdir(parents=True, exist_ok=True)
        (write or write_parquet)(table([task]), root / "data" / f"train-{shard:05d}-of-00002{suffix}")
    return root


def table_of_names(root: Path, file: str, task: str = "") -> Path:
    """A table that names files, and holds none."""
    import pyarrow as pa

    listed(root, f"{file}.jsonl", "source", "target_path", "text", task)
    rows = [json.loads(line) for line in (root / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]
    (root / f"{file}.jsonl").unlink()
    write = write_parquet if file.endswith(".parquet") else write_arrow_stream
    write(pa.Table.from_pylist(rows), root / file)
    return root


def kohya(root: Path, full_path: bool = False) -> Path:
    """Two folders for each task, and one file of all texts: by their names without endings, or by whole paths."""
    folders_in_tasks(root, "control", "images")
    for file in root.rglob("*.txt"):
        file.unlink()
    entries: dict[str, Any] = {}
    for task, number, *_ in every():
        key = f"C:\\train\\{task}\\images\\{number}.webp" if full_path else f"{task}/{number}"
        tags = {"tags": said(task, number)} if number == 0 else {"caption": said(task, number), "tags": "a, b"}
        entries[key] = {**tags, "train_resolution": [SIDE, SIDE]}
    put(root / "meta_cap.json", json.dumps(entries))
    return root


def archives_of_sides(root: Path, around: bool = False) -> Path:
    """Two archives for a task, one of the pictures before and one of those after, with their texts."""
    folders_in_tasks(root / "all")
    (root / "packed").mkdir()
    for task in TASKS:
        for side in ("before", "after"):
            file = root / "packed" / (f"{task}_{side}.zip" if around else f"{task}-{side}.tar.gz")
            folder = root / "all" / task / side
            zipped(folder, file, f"my {side}s/") if around else tarred(folder, file, "w:gz")
    return root / "packed"


def table(tasks: list[str]) -> Any:
    import pyarrow as pa

    rows = [(task, number, *both(task, number)) for task in tasks for number in range(PICTURES)]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "input_image": pa.array([{"bytes": encoded(one), "path": "x.png"} for _, _, one, _ in rows], image),
        "edit_prompt": pa.array([said(task, number) for task, number, *_ in rows]),
        "edited_image": pa.array([{"bytes": encoded(other), "path": None} for *_, other in rows], image),
        "task": pa.array([task for task, *_ in rows]),
        "score": pa.array([1.5 for _ in rows]),
    }
    return pa.table(columns)


def write_parquet(rows: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(rows, path, row_group_size=3)


def write_arrow_stream(rows: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows, max_chunksize=3)


def write_arrow_file(rows: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as stream:
        stream.write_table(rows, max_chunksize=3)


def shards(root: Path) -> Path:
    """Webdataset shards, of which two hold samples of the same names."""
    root.mkdir(exist_ok=True)
    for shard in range(2):
        with tarfile.open(root / f"pairs-{shard:06d}.tar", "w") as archive:
            for task, number, one, other in every():
                if number % 2 == shard:
                    fields = json.dumps({"instruction": said(task, number), "task": task})
                    files = (("source.png", encoded(one)), ("target.png", encoded(other)), ("json", fields.encode()))
                    for name, data in files:
                        add(archive, f"{TASKS.index(task)}{number // 2:03d}.{name}", data)
    return root


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def zipped(folder: Path, file: Path, around: str = "") -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, around + path.relative_to(folder).as_posix())
    return file


def tarred(folder: Path, file: Path, mode: str) -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, ".")
    return file


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def pixels_of_picture(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)
