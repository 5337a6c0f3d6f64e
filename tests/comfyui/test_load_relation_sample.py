"""The ``LoadRelationSample`` node in a real ComfyUI."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation import make_dataset, samples
from PIL import Image

from comfyui_host.graph import Graph
from comfyui_host.host import GraphError, Host

OUTPUTS = ("before", "after", "source", "target", "instruction")


@pytest.fixture(scope="module")
def file(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = make_dataset(tmp_path_factory.mktemp("sample"), tasks=2, test_pairs=2)
    folder = host.base / "input" / "relations"
    shutil.copytree(made.parent, folder)
    yield folder / made.name
    shutil.rmtree(folder)


def load(host: Host, dataset: str, index: int) -> list[object]:
    graph = Graph()
    node = graph.add("LoadRelationSample", dataset=dataset, index=index)
    return host.run(graph, **{name: node[place] for place, name in enumerate(OUTPUTS)})


@pytest.mark.parametrize("index", [0, 3])
def test_a_sample_comes_whole(host: Host, file: Path, index: int) -> None:
    sample = samples(file)[index]
    *pictures, instruction = load(host, "relations/test.jsonl", index)
    assert instruction == sample["text"]
    for picture, key in zip(pictures, ("cond1", "cond2", "source", "target"), strict=True):
        expected = np.asarray(Image.open(file.parent / sample[key]), dtype=np.float32) / 255
        assert isinstance(picture, torch.Tensor) and picture.dtype == torch.float32
        assert np.array_equal(picture[0], expected)


def test_the_files_are_listed(host: Host, file: Path) -> None:
    schema = host.node_classes["LoadRelationSample"].INPUT_TYPES()["required"]
    assert schema["dataset"][1]["options"] == ["relations/test.jsonl", "relations/train.jsonl"]
    assert schema["index"][1]["control_after_generate"] == "increment"


def test_an_index_after_the_last_is_an_error(host: Host, file: Path) -> None:
    with pytest.raises(GraphError, match=r"'test.jsonl' has 4 samples; there is none with index 4"):
        load(host, "relations/test.jsonl", 4)


@pytest.mark.parametrize(
    "name", ["../outside.jsonl", "relations/../../outside.jsonl", "/etc/hostname", "nowhere.jsonl"]
)
def test_no_other_file_is_read(host: Host, file: Path, name: str) -> None:
    line = {**samples(file)[0], "cond1": "pictures/none.png"}
    (host.base / "outside.jsonl").write_text(json.dumps(line))
    with pytest.raises(GraphError, match="refused"):
        load(host, name, 0)


def test_no_picture_outside_the_files_folder_is_read(host: Host, file: Path) -> None:
    shutil.copy(file.parent / samples(file)[0]["cond1"], host.base / "input" / "outside.png")
    (file.parent / "evil.jsonl").write_text(json.dumps({**samples(file)[0], "cond1": "../outside.png"}))
    with pytest.raises(GraphError, match="expected a path inside the file's folder"):
        load(host, "relations/evil.jsonl", 0)
    (file.parent / "evil.jsonl").unlink()


def test_a_picture_that_is_missing_is_named(host: Host, file: Path) -> None:
    (file.parent / "gone.jsonl").write_text(json.dumps({**samples(file)[0], "target": "pictures/gone.jpg"}))
    with pytest.raises(GraphError, match=r"Cannot read 'pictures/gone.jpg', which 'gone.jsonl' names"):
        load(host, "relations/gone.jsonl", 0)
    (file.parent / "gone.jsonl").unlink()


def test_a_file_that_was_replaced_is_read_again(host: Host, file: Path) -> None:
    again = file.parent / "again.jsonl"
    for index in (0, 1):
        again.write_text(json.dumps(samples(file)[index]) + "\n" * (index + 1))
        assert load(host, "relations/again.jsonl", 0)[-1] == samples(file)[index]["text"]
    again.unlink()


def test_a_dataset_is_read_once_a_prompt(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = host.node_classes["LoadRelationSample"]
    module = sys.modules[node.__module__]
    read, asked = module.read_sample, list[int]()

    def counted(path: Path, index: int) -> object:
        asked.append(index)
        return read(path, index)

    monkeypatch.setattr(module, "read_sample", counted)
    steps = [*range(4), 2, 2]
    for place, index in enumerate(steps):
        assert load(host, "relations/test.jsonl", index)[-1] == samples(file)[index]["text"]
        assert asked == steps[: place + 1]


def test_a_sample_that_moved_is_not_taken_for_the_one_before(host: Host, file: Path) -> None:
    """What was read for one prompt is not handed to a later one."""
    moved = file.parent / "moved.jsonl"
    lines = [json.dumps(one) for one in samples(file)[:2]]
    for order in (lines, lines[::-1], lines):
        moved.write_text("\n".join(order) + "\n")
        os.utime(moved, (1, 1))
        assert load(host, "relations/moved.jsonl", 0)[-1] == json.loads(order[0])["text"]
    load(host, "relations/moved.jsonl", 0)  # from the cache: what was read for that is not used
    moved.write_text("\n".join(lines[::-1]) + "\n")
    os.utime(moved, (1, 1))
    graph = Graph()
    number = graph.add("PrimitiveInt", value=0)
    node = graph.add("LoadRelationSample", dataset="relations/moved.jsonl", index=number[0])
    assert host.run(graph, instruction=node[4]) == json.loads(lines[1])["text"]
    moved.unlink()


def test_a_picture_that_was_replaced_is_read_again(host: Host, file: Path) -> None:
    """Also by one of the same size that brings its old time along."""
    picture = file.parent / samples(file)[1]["source"]
    kept, pixels = picture.read_bytes(), np.asarray(Image.open(picture).convert("RGB"))
    for image in (pixels, 255 - pixels):
        Image.fromarray(image).save(picture, format="BMP")
        os.utime(picture, (1, 1))
        found = load(host, "relations/test.jsonl", 1)[2]
        assert isinstance(found, torch.Tensor)
        assert np.array_equal(found[0], image.astype(np.float32) / 255)
    picture.write_bytes(kept)
