"""Whole tasks that are held out: nothing of them is trained on, under any name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from built import pixels, problems, run, samples, summary
from PIL import Image
from synthetic import Shape, entry, hub_dataset, listed_dataset, task_name

from relation_core.errors import DatasetError
from relation_tools.dataset.options import BuildOptions
from relation_tools.dataset.unseen_tasks import choose_tasks

SHAPE = Shape(tasks=5, pictures=7, side=16, suffix=".png")
KEYS = ("cond1", "cond2", "source", "target")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_dataset(tmp_path_factory.mktemp("unseen"), SHAPE)


def build(pairs: Path, out: Path, *options: object) -> str:
    return run("dataset", "build", pairs, out, "--test-pairs", 4, "--processes", 1, *options).stderr


def tasks_of(file: Path) -> dict[str, int]:
    """Samples by task; a sample's pictures are all of one."""
    found: dict[str, int] = {}
    for sample in samples(file):
        (task,) = {sample[key].split("/")[1] for key in KEYS}
        found[task] = found.get(task, 0) + 1
    return found


def test_a_number_of_tasks(pairs: Path, tmp_path: Path) -> None:
    """As in the paper's table 2, of fewer tasks and pictures: 6 x 5 samples each of 208 seen and 10 unseen tasks."""
    out = tmp_path / "out"
    assert "24 samples of unseen tasks" in build(pairs, out, "--hold-out-tasks", 2)
    unseen, tested, trained = (tasks_of(out / f"{name}.jsonl") for name in ("unseen", "test", "train"))
    assert set(unseen.values()) == set(tested.values()) == {4 * 3} and len(unseen) == 2 and len(tested) == 3
    assert trained == dict.fromkeys(tested, 3 * 2) and not unseen.keys() & tested.keys()
    found = summary(out)
    assert (found["test_samples"], found["unseen_samples"], found["train_samples"]) == (36, 24, 18)
    assert set(found["hold_out_tasks"]) == unseen.keys()
    table = json.loads((out / "tasks.json").read_text())
    assert {name for name, fields in table.items() if fields["unseen"]} == unseen.keys()
    assert all(table[name]["train_pictures"] == 0 and table[name]["test_samples"] == 12 for name in unseen)
    assert not [one for one in problems(out) if "hold" in one["reason"] or "held" in one["reason"]]
    said = run("dataset", "validate", out).stdout
    assert "unseen.jsonl: 24 samples of 16 pictures; rotation balanced" in said and "No problems." in said
    assert "unseen.jsonl" in run("dataset", "stats", out).stdout
    build(pairs, out, "--hold-out-tasks", 2, "--seed", 1)
    assert tasks_of(out / "unseen.jsonl") != unseen
    build(pairs, out)
    assert not (out / "unseen.jsonl").exists() and len(tasks_of(out / "train.jsonl")) == 5


def test_tasks_by_their_names(pairs: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "out", "--hold-out-tasks", f"{task_name(3)}, {task_name(0)}")
    assert tasks_of(tmp_path / "out" / "unseen.jsonl").keys() == {task_name(0), task_name(3)}
    build(pairs, tmp_path / "out", "--hold-out-tasks", task_name(3), "--test-pairs", 9)
    assert tasks_of(tmp_path / "out" / "unseen.jsonl") == {task_name(3): 7 * 6}  # none is kept to train on
    assert set(tasks_of(tmp_path / "out" / "test.jsonl").values()) == {5 * 4}
    said = run("dataset", "build", pairs, tmp_path / "new", "--hold-out-tasks", "3-Task_02", status=1).stderr
    assert f"no task '3-Task_02' to hold out; expected names of tasks, such as '{task_name(2)}'" in said
    assert not (tmp_path / "new" / "pictures").exists()


def test_a_photo_of_an_unseen_task_is_trained_on_in_no_other(tmp_path: Path) -> None:
    file = listed_dataset(tmp_path, Shape(tasks=1, pictures=10, side=16, suffix=".png"), ".jsonl")
    lines = [file.read_text(encoding="utf-8")]
    (tmp_path / "negative").mkdir()
    for number in range(10):
        photo = Image.open(tmp_path / task_name(0) / f"image {number}.png").crop((0, 0, 16, 16))
        sheet = Image.new("RGB", (32, 16))
        sheet.paste(photo)
        sheet.paste(Image.eval(photo, lambda level: 255 - level), (16, 0))
        sheet.save(tmp_path / "negative" / f"{number}.png")
        lines.append(json.dumps(entry(1, number, f"negative/{number}.png")) + "\n")
    file.write_text("".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    build(file, out, "--hold-out-tasks", "negative")
    sides = {
        name: {pixels(out / sample[key]) for sample in samples(out / f"{name}.jsonl") for key in KEYS}
        for name in ("train", "test", "unseen")
    }
    assert tasks_of(out / "unseen.jsonl") == {"negative": 12} and tasks_of(out / "test.jsonl") == {task_name(0): 12}
    assert len(sides["test"] & sides["unseen"]) == 4  # the photos of both
    assert not sides["train"] & (sides["test"] | sides["unseen"]) and len(sides["train"]) == 2 * 6
    assert "No problems." in run("dataset", "validate", out).stdout
    trained, new = samples(out / "train.jsonl")[0]["source"], samples(out / "unseen.jsonl")[0]["target"]
    shutil.copy(out / trained, out / new)
    said = run("dataset", "validate", out, status=1).stdout
    assert f"train.jsonl ('{trained}') and unseen.jsonl ('{new}')" in said


def test_which_tasks_are_drawn() -> None:
    pictures = {"a": 9, "b": 3, "c": 9, "d": 1, "e": 9}
    drawn = {choose_tasks(pictures, 3, 5, seed) for seed in range(20)}
    assert drawn == {("a", "c", "e")}  # those with enough pictures
    assert len({choose_tasks(pictures, 1, 2, seed) for seed in range(40)}) == 4
    assert choose_tasks(pictures, 0, 5, 0) == ()
    for wanted, reason in ((5, "expected at most 4"), (tuple(pictures), "All 5 tasks would be held out")):
        with pytest.raises(DatasetError, match=reason):
            choose_tasks(pictures, wanted, 5, 0)
    with pytest.raises(DatasetError, match="set test_pairs to at least 2"):
        BuildOptions(test_pairs=0, hold_out_tasks=2)
