"""Every layout that people have is built with one command and no flags, and its samples show what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import people
import pytest
from built import problems, run, samples, tree
from people import PICTURES, TASKS

from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry, task_of_packed

LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "before and after": people.folders_in_tasks,
    "control and target": lambda root: people.folders_in_tasks(root, "control", "target"),
    "input and output": lambda root: people.folders_in_tasks(root, "Input", "Output"),
    "conditioning_images and images": lambda root: people.folders_in_tasks(root, "conditioning_images", "images"),
    "source and target around tasks": people.tasks_in_folders,
    "a split around both": lambda root: people.tasks_in_folders(root / "train").parent,
    "names in a folder": people.names_in_a_folder,
    "a folder for a pair": people.a_folder_for_a_pair,
    "ImageFolder": lambda root: people.listed(
        root, "train/metadata.jsonl", "input_file_name", "output_file_name", "text"
    ),
    "ImageFolder, CSV": lambda root: people.listed(root, "metadata.csv", "file_name", "edited_file_name", "prompt"),
    "kohya": lambda root: people.listed(root, "train.jsonl", "control_path", "image_path", "caption"),
    "diffusers": lambda root: people.listed(root, "train.jsonl", "conditioning_image", "image", "text"),
    "source and target": lambda root: people.listed(root, "prompt.json", "source", "target", "prompt"),
    "edit prompts": lambda root: people.listed(root, "a.jsonl", "input_image", "edited_image", "edit_prompt", "task"),
    "CSV": lambda root: people.listed(root, "list.csv", "original", "result", "instruction", "edit_type"),
    "one file": lambda root: people.listed(root, "a.jsonl", "source", "target", "text", "task") / "a.jsonl",
    "named from the root": lambda root: people.listed(root, "in/a.jsonl", "src", "tgt", "text", "task", beside=False),
    "authors' list": lambda root: people.authors_listing(root, "labels.json"),
    "authors' list below": lambda root: people.authors_listing(root, "lists/all/labels.json"),
    "authors' list of any name": lambda root: people.authors_listing(root, "lists/edits.json"),
    "Parquet": people.parquet,
    "a Parquet file": lambda root: people.parquet(root) / "data" / "train-00000-of-00002.parquet",
    "Arrow stream": lambda root: people.parquet(root, people.write_arrow_stream, ".arrow"),
    "Arrow file": lambda root: people.parquet(root, people.write_arrow_file, ".arrow"),
    "metadata.parquet": lambda root: people.table_of_names(root, "metadata.parquet"),
    "a Parquet file of names": lambda root: people.table_of_names(root, "a.parquet", "task") / "a.parquet",
    "Arrow of names": lambda root: people.table_of_names(root, "list.arrow"),
    "zip of names": lambda root: people.zipped(people.table_of_names(root / "a", "a.parquet"), root / "a.zip"),
    "kohya's file of texts": people.kohya,
    "kohya's file of whole paths": lambda root: people.kohya(root, full_path=True),
    "archives of two sides": people.archives_of_sides,
    "archives of two sides around folders": lambda root: people.archives_of_sides(root, around=True),
    "zip of archives of two sides": lambda root: people.zipped(people.archives_of_sides(root / "a"), root / "a.zip"),
    "webdataset": people.shards,
    "zip": lambda root: people.zipped(people.folders_in_tasks(root / "a"), root / "a.zip"),
    "zip around a folder": lambda root: people.zipped(people.tasks_in_folders(root / "a"), root / "a.zip", "a/"),
    "zip of a list": lambda root: people.zipped(people.authors_listing(root / "a", "a.json"), root / "a.zip"),
    "tar": lambda root: people.tarred(people.names_in_a_folder(root / "a"), root / "a.tar", "w"),
    "tar.gz": lambda root: people.tarred(people.a_folder_for_a_pair(root / "a"), root / "a.tar.gz", "w:gz"),
    "tgz of a CSV": lambda root: people.tarred(
        people.listed(root / "a", "metadata.csv", "source", "target", "text"), root / "a.tgz", "w:gz"
    ),
    "tar.bz2": lambda root: people.tarred(people.tasks_in_folders(root / "a"), root / "a.tar.bz2", "w:bz2"),
    "tar.xz": lambda root: people.tarred(people.tasks_in_folders(root / "a"), root / "a.tar.xz", "w:xz"),
    "zip of Parquet": lambda root: people.zipped(people.parquet(root / "a"), root / "a.zip"),
    "zip of shards": lambda root: people.zipped(people.shards(root / "a"), root / "a.zip"),
}


def zips_of_tasks(root: Path) -> Path:
    people.folders_in_tasks(root / "all")
    (root / "zips").mkdir()
    for task in TASKS:
        people.zipped(root / "all" / task, root / "zips" / f"{task}.zip")
    return root / "zips"


LAYOUTS["a zip for a task"] = zips_of_tasks


SLOW = (
    *("control and target", "input and output", "a split around both", "ImageFolder, CSV", "source and target"),
    *("one file", "authors' list", "authors' list of any name", "a Parquet file", "Arrow stream", "Arrow file"),
    *("Arrow of names", "zip of names", "zip of archives of two sides"),
    *("zip of a list", "zip", "tar", "tgz of a CSV", "tar.bz2", "tar.xz", "zip of Parquet"),
)
"""Layouts that others' readers read too."""


def look_at(out: Path, tasks: tuple[str, ...] = TASKS) -> None:
    """Every sample's pictures are, pixel for pixel, those that its instruction names."""
    found = [sample for name in ("train", "test") for sample in samples(out / f"{name}.jsonl")]
    assert len(found) == len(tasks) * PICTURES * (PICTURES - 1)
    for sample in found:
        match = re.match(r"Do (\w+) with picture (\d), \u7f16\.$", sample["text"])
        assert match, sample["text"]
        expected = people.both(match[1], int(match[2]))
        for key, picture in zip(("source", "target"), expected, strict=True):
            assert sample[key].split("/")[1] == match[1], sample[key]
            assert np.array_equal(people.pixels_of(out / sample[key]), np.asarray(picture)), sample[key]
        assert sample["cond1"].split("/")[1] == match[1] and sample["cond1"] != sample["source"]
    assert {sample["source"].split("/")[1] for sample in found} == set(tasks)


@pytest.mark.parametrize(
    "layout", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in LAYOUTS]
)
def test_a_layout_is_told_by_looking(tmp_path: Path, layout: str) -> None:
    (tmp_path / "pairs").mkdir()
    pairs = LAYOUTS[layout](tmp_path / "pairs")
    before = tree(tmp_path / "pairs")
    out = tmp_path / "out"
    run("dataset", "build", pairs, out, "--test-pairs", 0, "--processes", 1)
    look_at(out, TASKS[:1] if layout == "a Parquet file" else TASKS)
    assert problems(out) == []
    assert "No problems." in run("dataset", "validate", out).stdout
    assert tree(tmp_path / "pairs") == before


@pytest.mark.parametrize(
    ("stem", "task"),
    [
        *(("train-00000-of-00004", "all"), ("train-00003-of-00051-0123456789abcdef", "all"), ("000012", "all")),
        *(("shard_00012", "all"), ("part1", "all"), ("images", "all"), ("Group1", "all"), ("before", "all")),
        *(("depth", "depth"), ("style-000001", "style"), ("style-2", "style-2"), ("1-Depth", "1-Depth")),
    ],
)
def test_a_task_is_named_after_what_it_lies_in(stem: str, task: str) -> None:
    assert task_of_packed(stem, "all") == task


def test_a_task_is_named_after_the_folders_of_both_pictures(tmp_path: Path) -> None:
    rows = [{"source": f"a/x/train/{n}.png", "target": f"b/x/train/{n}.png", "text": "do"} for n in range(2)]
    people.put(tmp_path / "list.jsonl", "\n".join(map(json.dumps, rows)))
    found = list(open_dataset(tmp_path, tmp_path / "out", tmp_path / "work").entries())
    assert [one.task for one in found if isinstance(one, PairEntry)] == ["x", "x"]


@pytest.mark.slow
def test_what_the_libraries_write(tmp_path: Path) -> None:
    """``datasets`` and ``webdataset`` themselves."""
    import datasets
    import webdataset

    rows = [
        {"image": one, "prompt": people.said(task, number), "edited": other, "task": task}
        for task, number, one, other in people.every()
    ]
    features = datasets.Features(
        {"image": datasets.Image(), "prompt": datasets.Value("string"), "edited": datasets.Image()}
        | {"task": datasets.Value("string")}
    )
    written = datasets.Dataset.from_list(rows, features)
    written.to_parquet(tmp_path / "parquet" / "train.parquet")
    written.save_to_disk(tmp_path / "disk", num_shards=2)
    (tmp_path / "shards").mkdir()
    with webdataset.ShardWriter(str(tmp_path / "shards" / "pairs-%06d.tar"), maxcount=3, verbose=0) as sink:
        for number, row in enumerate(rows):
            fields = {"prompt": row["prompt"], "task": row["task"]}
            pictures = {"source.png": people.encoded(row["image"]), "target.png": people.encoded(row["edited"])}
            sink.write({"__key__": f"{number:04d}", "json": fields, **pictures})
    for name in ("parquet", "disk", "shards"):
        run("dataset", "build", tmp_path / name, tmp_path / f"{name} out", "--test-pairs", 0, "--processes", 1)
        look_at(tmp_path / f"{name} out")
        assert "No problems." in run("dataset", "validate", tmp_path / f"{name} out").stdout
        assert [one for one in problems(tmp_path / f"{name} out") if one["kind"] != "note"] == []
