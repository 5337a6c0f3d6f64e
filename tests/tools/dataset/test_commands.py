"""``validate``, ``stats`` and ``sheet`` as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from built import run, samples
from PIL import Image
from synthetic import CATEGORIES, Shape, categories, hub_dataset, task_name

from relation_core.errors import DatasetError
from relation_core.samples.samples import read_sample

SHAPE = Shape(tasks=4, pictures=10, suffix=".png")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("commands")
    (root / "categories.json").write_text(json.dumps(categories(SHAPE)))
    hub_dataset(root / "pairs", SHAPE)
    run("dataset", "build", root / "pairs", root / "out", "--categories", root / "categories.json", "--per-task", 13)
    return root / "out"


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "out")
    return tmp_path / "out"


def rewrite(file: Path, change: dict[int, dict[str, object]]) -> None:
    lines = [{**sample, **change.get(index, {})} for index, sample in enumerate(samples(file))]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_fresh_build_is_valid(out: Path) -> None:
    said = run("dataset", "validate", out).stdout
    assert "train.jsonl: 52 samples of 40 pictures; rotation balanced" in said
    assert "test.jsonl: 80 samples of 40 pictures; rotation balanced" in said
    assert "No problems." in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": None}, "train.jsonl:4: expected an object with text for text"),
        ({"source": "../outside.png"}, "train.jsonl:4: 'source' is '../outside.png'"),
        ({"target": "/etc/hostname"}, "train.jsonl:4: 'target' is '/etc/hostname'"),
        ({"cond1": "pictures/missing.png"}, "'pictures/missing.png' cannot be read"),
    ],
)
def test_broken_samples_are_found(out: Path, change: dict[str, object], said: str) -> None:
    rewrite(out / "train.jsonl", {3: change})
    found = run("dataset", "validate", out, status=1).stdout
    assert said in found


def test_a_damaged_picture_is_found(out: Path) -> None:
    name = samples(out / "train.jsonl")[0]["target"]
    (out / name).write_bytes((out / name).read_bytes()[:200])
    assert f"train.jsonl: the picture '{name}' cannot be read" in run("dataset", "validate", out, status=1).stdout


def test_unequal_sizes_are_found_once(out: Path) -> None:
    name = samples(out / "train.jsonl")[0]["target"]
    Image.new("RGB", (20, 21)).save(out / name)
    said = run("dataset", "validate", out, status=1).stdout
    assert said.count(f"'{name}' are 32x32 and 20x21; expected one size") == 1


def test_leaks_are_found_by_name_and_by_pixels(out: Path) -> None:
    trained, tested = samples(out / "train.jsonl")[0], samples(out / "test.jsonl")[0]
    rewrite(out / "test.jsonl", {0: {"source": trained["source"], "target": trained["target"]}})
    said = run("dataset", "validate", out, status=1).stdout
    assert f"train.jsonl ('{trained['source']}') and test.jsonl ('{trained['source']}')" in said
    rewrite(out / "test.jsonl", {0: tested})
    shutil.copy(out / trained["source"], out / tested["source"])
    said = run("dataset", "validate", out, status=1).stdout
    assert f"train.jsonl ('{trained['source']}') and test.jsonl ('{tested['source']}')" in said


def test_a_sample_with_itself_as_exemplar_and_an_uneven_rotation_are_found(out: Path) -> None:
    first, other = samples(out / "train.jsonl")[:2]
    change = {key: first[key] for key in ("cond1", "cond2", "source", "target")}
    rewrite(out / "train.jsonl", dict.fromkeys(range(1, 5), change))
    assert "uneven: uses of a task's pictures differ by" in run("dataset", "validate", out).stdout
    rewrite(out / "train.jsonl", {1: {**other, "cond1": other["source"]}})
    assert "sample 1 has its own source" in run("dataset", "validate", out, status=1).stdout


def test_nothing_to_validate_is_an_error(tmp_path: Path) -> None:
    assert "no run-ready dataset" in run("dataset", "validate", tmp_path, status=1).stderr


def test_counts(out: Path) -> None:
    names = sorted((out / "pictures" / task_name(2)).iterdir())
    shutil.copy(names[0], names[4])
    said = run("dataset", "stats", out).stdout.splitlines()
    for task, category in categories(SHAPE).items():
        assert f"  {task}".ljust(26) + f"{10:12}{13:14}{20:14}" in said
        assert f"{category}: 1".ljust(26) + f"{10:12}{13:14}{20:14}" in said
    assert set(categories(SHAPE).values()) == set(CATEGORIES)
    assert "sizes of the halves: 32x32 (80)" in said
    assert "files with the same pixels: 1 groups" in said
    assert f"  {names[0].relative_to(out)}, {names[4].relative_to(out)}" in said


def enlarged(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).resize((192, 192), Image.BICUBIC))


def test_a_contact_sheet_shows_the_samples(out: Path, tmp_path: Path) -> None:
    file = out / "train.jsonl"
    for name in ("a.png", "b.png"):
        run("dataset", "sheet", file, tmp_path / name, "--count", 3, "--seed", 5, "--task", task_name(1))
    run("dataset", "sheet", file, tmp_path / "other.png", "--count", 3, "--seed", 6)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "other.png").read_bytes()
    # Every picture of a sample of the task is enlarged to 192 pixels and stands whole in the sheet.
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    columns = [sheet[42:234, 24 + column * 228 :][:, :192] for column in range(4)]
    chosen = [sample for sample in samples(file) if task_name(1) in sample["source"]]
    shown = [[enlarged(out / name) for name in list(sample.values())[:4]] for sample in chosen]
    assert any(all(np.array_equal(a, b) for a, b in zip(columns, pictures, strict=True)) for pictures in shown)


def test_a_contact_sheet_of_an_unknown_task_is_an_error(out: Path, tmp_path: Path) -> None:
    done = run("dataset", "sheet", out / "train.jsonl", tmp_path / "a.png", "--task", "nothing", status=1)
    assert "no samples of the task 'nothing'" in done.stderr
    done = run("dataset", "sheet", out / "train.jsonl", tmp_path / "a.xyz", status=1)
    assert "a.xyz" in done.stderr


def test_a_sample_is_read_by_its_index(out: Path) -> None:
    expected = samples(out / "test.jsonl")
    for index in (0, 1, 79):
        found = read_sample(out / "test.jsonl", index)
        assert [*found.pictures, found.text] == list(expected[index].values()) and found.index == index
    for index in (-1, 80):
        with pytest.raises(DatasetError, match="has 80 samples; there is none with index"):
            read_sample(out / "test.jsonl", index)
    with pytest.raises(DatasetError, match="nowhere"):
        read_sample(out / "nowhere.jsonl", 0)
