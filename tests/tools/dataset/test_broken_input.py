"""Broken input is reported, entry by entry, and never stops a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from broken_input import broken_lines, broken_pictures
from built import problems, run, samples
from synthetic import Shape, entry, hub_dataset, listed_dataset, paired_picture


def build(pairs: Path, out: Path) -> list[dict[str, str]]:
    run("dataset", "build", pairs, out, "--processes", 1)
    return problems(out)


def test_every_broken_line_is_reported_and_every_good_one_is_used(tmp_path: Path) -> None:
    kinds = broken_lines()
    (tmp_path / "good").mkdir()
    lines: list[bytes] = []
    for number, (broken, _) in enumerate(kinds):
        name = f"good/{number}.png"
        paired_picture(1, number, 16).save(tmp_path / name)
        lines += [json.dumps(entry(1, number, name)).encode(), broken]
    (tmp_path / "pairs.jsonl").write_bytes(b"\n".join(lines))
    found = {problem["where"]: problem for problem in build(tmp_path / "pairs.jsonl", tmp_path / "out")}
    for number, (broken, reason) in enumerate(kinds):
        problem = found.pop(f"pairs.jsonl:{2 * number + 2}")
        assert problem["kind"] == "broken", broken[:100]
        assert reason in problem["reason"], (broken[:100], problem["reason"])
    assert [problem for problem in found.values() if problem["kind"] != "note"] == []
    used = {sample["source"] for name in ("train", "test") for sample in samples(tmp_path / "out" / f"{name}.jsonl")}
    assert len(used) == len(kinds)


def test_every_broken_picture_is_reported(tmp_path: Path) -> None:
    kinds = broken_pictures(tmp_path / "broken")
    hub_dataset(tmp_path, Shape(tasks=1, pictures=8))
    entries = [entry(9, number, name) for number, (name, _) in enumerate(kinds)]
    (tmp_path / "broken" / "labels.json").write_text(json.dumps(entries), encoding="utf-8")
    found = {
        problem["picture"].removeprefix("broken/"): problem
        for problem in build(tmp_path, tmp_path / "out")
        if problem["kind"] == "broken"
    }
    for name, reason in kinds:
        key = "broken" if name == "." else name
        assert reason in found.pop(key)["reason"], name
    assert found == {}
    assert len(list((tmp_path / "out" / "pictures").rglob("*.*"))) == 2 * 8


def test_reading_goes_on_after_a_broken_stretch_of_an_array(tmp_path: Path) -> None:
    file = listed_dataset(tmp_path, Shape(tasks=2, pictures=6), ".json")
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3][:40]
    lines[9] = "garbage"
    file.write_text("\n".join(lines), encoding="utf-8")
    found = [problem for problem in build(file, tmp_path / "out") if problem["kind"] == "broken"]
    assert [problem["where"] for problem in found] == ["pairs.json:4", "pairs.json:10"]
    used = {sample["source"] for sample in samples(tmp_path / "out" / "train.jsonl")}
    tested = {sample["source"] for sample in samples(tmp_path / "out" / "test.jsonl")}
    assert len(used | tested) == 10


def test_files_that_are_broken_as_a_whole_are_reported(tmp_path: Path) -> None:
    hub_dataset(tmp_path, Shape(tasks=1, pictures=4))
    for name, content in (
        ("empty", b""),
        ("blank", b" \n"),
        ("none", b"[]"),
        ("zeros", bytes(100)),
        ("noise", b"\xff\xfe\x00"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "labels.json").write_bytes(content)
    (tmp_path / "folder" / "labels.json").mkdir(parents=True)
    found = {problem["where"].split("/")[0]: problem for problem in build(tmp_path, tmp_path / "out")}
    for name in ("empty", "blank", "none", "zeros", "noise", "folder"):
        assert found[name]["kind"] == "broken", name


def test_duplicates_are_left_out_and_reported(tmp_path: Path) -> None:
    file = listed_dataset(tmp_path, Shape(tasks=1, pictures=10, suffix=".png"), ".jsonl")
    folder = tmp_path / "1-Task_000"
    (folder / "copy.png").write_bytes((folder / "image 2.png").read_bytes())
    more = [entry(0, 2, f"{folder.name}/copy.png"), entry(0, 5, f"{folder.name}/./image 5.png")]
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(fields) + "\n" for fields in more)
    found = [problem for problem in build(file, tmp_path / "out") if problem["kind"] == "duplicate"]
    assert [problem["where"] for problem in found] == ["pairs.jsonl:12", "pairs.jsonl:11"]
    assert "listed before, at pairs.jsonl:6" in found[0]["reason"]
    assert "'1-Task_000/image 2.png'" in found[1]["reason"]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"cond1": "a.jpg"}'])
def test_nothing_to_use_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "pairs.jsonl"
    if content is not None:
        file.write_bytes(content)
    done = run("dataset", "build", file, tmp_path / "out", status=1)
    assert "pairs.jsonl" in done.stderr
    assert not (tmp_path / "out" / "train.jsonl").exists()
