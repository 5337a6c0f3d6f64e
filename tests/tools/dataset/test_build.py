"""Builds as a user runs them: what they make, from where, and after a kill."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from built import (
    assert_balanced,
    assert_no_leak,
    kill_once,
    pictures_in,
    problems,
    run,
    samples,
    summary,
    tree,
)
from PIL import Image
from synthetic import Shape, categories, entry, hub_dataset, listed_dataset, paired_picture, task_name

from tests.process_group import group_is_gone

SHAPE = Shape(tasks=6, pictures=30)
OPTIONS = ("--per-task", 200, "--seed", 7)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    (root / "categories.txt").write_text(json.dumps(categories(SHAPE)))
    return hub_dataset(root, SHAPE)


@pytest.fixture(scope="module")
def built(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run-ready") / "out"
    run("dataset", "build", pairs, out, *OPTIONS, "--processes", 1, "--categories", pairs / "categories.txt")
    return out


def test_what_is_built(built: Path) -> None:
    train, test = samples(built / "train.jsonl"), samples(built / "test.jsonl")
    assert len(train) == 6 * 200 and len(test) == 6 * 5 * 4
    assert all(list(sample) == ["cond1", "cond2", "source", "target", "text"] for sample in train + test)
    assert len({tuple(sample.values()) for sample in train + test}) == len(train) + len(test)
    assert sorted(path.name for path in built.iterdir()) == [
        *(".build", "build.json", "pictures", "problems.jsonl", "tasks.json", "test.jsonl", "train.jsonl"),
    ]
    assert len(list((built / "pictures").rglob("*.*"))) == 2 * 6 * 30
    assert summary(built) == {
        **{"per_task": 200, "test_pairs": 5, "seed": 7, "pictures": 180, "tasks": 6, "train_samples": 1200},
        **{"test_samples": 120, "broken": 0, "duplicates": 0, "notes": len(problems(built))},
        **{"hold_out_tasks": [], "unseen_samples": 0},
    }
    table = json.loads((built / "tasks.json").read_text())
    assert {name: fields["category"] for name, fields in table.items()} == categories(SHAPE)


def test_a_sample_shows_what_it_says(built: Path, pairs: Path) -> None:
    for sample in samples(built / "train.jsonl")[::97] + samples(built / "test.jsonl")[::31]:
        number = int(sample["text"].split("picture ")[1].split(":")[0])
        task = int(sample["text"].split("edit ")[1].split(" ")[0])
        assert sample["source"] == f"pictures/{task_name(task)}/image_{number}_before.jpg"
        assert sample["target"] == sample["source"].replace("before", "after")
        assert sample["cond2"] == sample["cond1"].replace("before", "after") != sample["target"]
        original = np.asarray(paired_picture(task, number, 32).convert("RGB"), dtype=int)
        for name, half in ((sample["source"], original[:, :32]), (sample["target"], original[:, 32:])):
            found = np.asarray(Image.open(built / name), dtype=int)[:, :30]
            assert np.abs(found - half[:, :30]).mean() < 8, name


def test_the_rotation_is_balanced_and_nothing_leaks(built: Path) -> None:
    assert_balanced(built / "train.jsonl", 25)
    assert_balanced(built / "test.jsonl", 5)
    assert_no_leak(built)


def test_the_number_of_processes_changes_nothing(built: Path, pairs: Path, tmp_path: Path) -> None:
    run("dataset", "build", pairs, tmp_path, *OPTIONS, "--processes", 3, "--categories", pairs / "categories.txt")
    assert tree(tmp_path) == tree(built)


def test_where_the_dataset_lies_changes_nothing(built: Path, pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs, tmp_path / "elsewhere", symlinks=False)
    run("dataset", "build", tmp_path / "elsewhere", tmp_path / "out", *OPTIONS, "--processes", 1)
    found, expected = tree(tmp_path / "out"), tree(built)
    assert found.pop("tasks.json") != expected["tasks.json"]  # no categories were given here
    assert found == {name: digest for name, digest in expected.items() if name != "tasks.json"}


def test_another_seed_draws_anew_without_splitting_again(built: Path, pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "pictures").rglob("*.*")}
    run("dataset", "build", pairs, tmp_path / "out", "--per-task", 200, "--seed", 8)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    found, expected = tree(tmp_path / "out"), tree(built)
    assert {name for name in found if found[name] != expected[name]} == {
        *("build.json", "tasks.json", "test.jsonl", "train.jsonl")
    }
    assert_no_leak(tmp_path / "out")


def test_a_picture_that_changed_or_a_half_that_went_is_split_again(built: Path, pairs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pairs"
    shutil.copytree(pairs, copy)
    with (copy / task_name(2) / "Group1" / "image 4.jpg").open("ab") as file:
        file.write(bytes(1 << 16))
    run("dataset", "build", copy, tmp_path / "out", *OPTIONS, "--processes", 1)
    first = tree(tmp_path / "out")
    changed = copy / task_name(2) / "Group1" / "image 4.jpg"
    before = changed.stat()
    paired_picture(2, 99, 32).save(changed)
    assert changed.stat().st_size < before.st_size
    changed.write_bytes(changed.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # of one length and time
    lost = next((tmp_path / "out" / "pictures" / task_name(5)).glob("*.jpg"))
    lost.unlink()
    run("dataset", "build", copy, tmp_path / "out", *OPTIONS, "--processes", 1)
    second = tree(tmp_path / "out")
    assert set(second) == set(first)
    names = {name for name in second if second[name] != first.get(name)}
    assert names == {f"pictures/{task_name(2)}/image_4_{half}.jpg" for half in ("before", "after")}


def test_killed_again_and_again(built: Path, pairs: Path, tmp_path: Path) -> None:
    expected = tree(built)
    call = ("dataset", "build", pairs, tmp_path, *OPTIONS, "--processes", 2)
    call = (*call, "--categories", pairs / "categories.txt")
    for number, share in enumerate((0.01, 0.4, 0.7, 1.0)):
        enough = share * 2 * SHAPE.tasks * SHAPE.pictures
        while not kill_once(lambda enough=enough: pictures_in(tmp_path) >= enough, *call, whole_group=number % 2 == 0):
            assert tree(tmp_path) == expected
            shutil.rmtree(tmp_path)  # it was too fast: from the beginning
        seen = tree(tmp_path)
        assert {name: expected[name] for name in seen} == seen
    run(*call)
    assert tree(tmp_path) == expected
    shutil.rmtree(tmp_path / ".build" / "split")  # begin again, over what is there
    run(*call)
    assert tree(tmp_path) == expected


def test_no_process_outlives_a_killed_build(pairs: Path, tmp_path: Path) -> None:
    call = ("dataset", "build", pairs, tmp_path / "out", "--processes", 3)
    while (leader := kill_once(lambda: pictures_in(tmp_path) > 0, *call, whole_group=False)) is None:
        shutil.rmtree(tmp_path / "out")  # it was too fast
    assert group_is_gone(leader, patience=10)


def test_photos_that_several_tasks_share_do_not_leak(tmp_path: Path) -> None:
    file = listed_dataset(tmp_path, Shape(tasks=1, pictures=12, suffix=".png"), ".jsonl")
    lines = [file.read_text(encoding="utf-8")]
    (tmp_path / "negative").mkdir()
    for number in range(12):
        picture = Image.open(tmp_path / task_name(0) / f"image {number}.png")
        side = picture.height
        sheet = Image.new("RGB", (2 * side, side))
        sheet.paste(picture.crop((0, 0, side, side)))
        sheet.paste(Image.eval(picture.crop((0, 0, side, side)), lambda level: 255 - level), (side, 0))
        sheet.save(tmp_path / "negative" / f"{number}.png")
        lines.append(json.dumps(entry(1, number, f"negative/{number}.png")) + "\n")
    file.write_text("".join(lines), encoding="utf-8")
    run("dataset", "build", file, tmp_path / "out", "--test-pairs", 3)
    assert len(samples(tmp_path / "out" / "test.jsonl")) == 2 * 3 * 2
    assert_no_leak(tmp_path / "out")


def test_pngs_stay_pngs_and_small_tasks_are_told(tmp_path: Path) -> None:
    file = listed_dataset(tmp_path, Shape(tasks=2, pictures=3, suffix=".png"), ".json")
    single = tmp_path / "single" / "only.png"
    single.parent.mkdir()
    paired_picture(9, 0, 32).save(single)
    entries = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps([*entries, entry(9, 0, "single/only.png")]), encoding="utf-8")
    run("dataset", "build", file, tmp_path / "out")
    assert {path.suffix for path in (tmp_path / "out" / "pictures").rglob("*.*")} == {".png"}
    half = np.asarray(Image.open(tmp_path / "out" / "pictures" / task_name(1) / "image_1_before.png"))
    assert np.array_equal(half, np.asarray(paired_picture(1, 1, 32))[:, :32])
    assert len(samples(tmp_path / "out" / "train.jsonl")) == 2 * 3 * 2
    assert samples(tmp_path / "out" / "test.jsonl") == []
    told = {problem["where"]: problem["reason"] for problem in problems(tmp_path / "out") if not problem["picture"]}
    assert "0 instead of 5" in told[task_name(0)] and set(told) == {task_name(0), task_name(1), "single"}
    assert any("no pair can be drawn" in problem["reason"] for problem in problems(tmp_path / "out"))


@pytest.mark.parametrize(
    ("options", "status"), [(("--test-pairs", 1), 1), (("--per-task", 0), 2), (("--categories", "nowhere.json"), 1)]
)
def test_wrong_options_are_errors(pairs: Path, tmp_path: Path, options: tuple[object, ...], status: int) -> None:
    run("dataset", "build", pairs, tmp_path, *options, status=status)
    assert not (tmp_path / "train.jsonl").exists()


def test_the_result_cannot_replace_the_dataset(pairs: Path) -> None:
    before = tree(pairs)
    assert "itself" in run("dataset", "build", pairs, pairs, status=1).stderr
    assert tree(pairs) == before


def test_a_link_to_itself_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert f"Cannot write to '{loop}'" in run("dataset", "build", tmp_path / "pairs", loop, status=1).stderr
    assert f"There is no file or folder '{loop}'" in run("dataset", "build", loop, tmp_path / "out", status=1).stderr
