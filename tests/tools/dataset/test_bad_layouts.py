"""What is wrong with a layout is said, and what is right in it is used."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import people
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built import build_told, run, samples, tree, used
from people import PICTURES, TASKS, both, put, said
from PIL import Image

from relation_tools.dataset import tables
from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry


def depth(root: Path, texts: bool = True) -> Path:
    """Two folders of one task."""
    for number in range(PICTURES):
        before, after = both("depth", number)
        put(root / "before" / f"{number}.png", before)
        put(root / "after" / f"{number}.png", after)
        if texts:
            put(root / "after" / f"{number}.txt", said("depth", number))
    return root


EVERY = {said("depth", number) for number in range(PICTURES)}


def test_pictures_without_a_counterpart_or_with_two(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "pairs")
    put(pairs / "before" / "alone.png", Image.new("RGB", (24, 24)))
    put(pairs / "after" / "Alone.png", Image.new("RGB", (24, 24)))
    put(pairs / "after" / "2.webp", Image.new("RGB", (24, 24)))
    put(pairs / "other" / "x.png", Image.new("RGB", (24, 24)))
    found = build_told(pairs, tmp_path / "out")
    assert found["broken"] == [
        (".", "after/2.png", "'after/2.png', 'after/2.webp' have one name: nothing tells which is meant"),
        (".", "after/Alone.png", "no picture of this name, with any ending, is in 'before'"),
        (".", "before/alone.png", "no picture of this name, with any ending, is in 'after'"),
    ]
    assert ("other", "", "1 pictures there are of no pair: x.png") in found["note"]
    assert used(tmp_path / "out") == EVERY - {said("depth", 2)}


def test_names_of_a_folder_without_a_counterpart(tmp_path: Path) -> None:
    pairs = people.names_in_a_folder(tmp_path / "pairs")
    put(pairs / "depth" / "9_after.png", Image.new("RGB", (24, 24)))
    put(pairs / "depth" / "9_mask.png", Image.new("RGB", (24, 24)))
    found = build_told(pairs, tmp_path / "out")
    assert found["broken"] == [
        ("depth", "depth/9_after.png", "'9_after.png' makes no pair; expected one picture before and one after")
    ]
    assert ("depth", "", "1 pictures there are of no pair: 9_mask.png") in found["note"]
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_two_sizes_of_one_shape_are_made_one_and_others_are_refused(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "pairs")
    before, after = both("depth", 0)
    put(pairs / "after" / "0.png", after.resize((48, 48), Image.Resampling.NEAREST))
    put(pairs / "before" / "1.png", both("depth", 1)[0].resize((24, 40)))
    put(pairs / "before" / "2.png", Image.new("RGB", (7, 7)))
    found = build_told(pairs, tmp_path / "out")
    assert [(picture, reason.split("; ")[0]) for _, picture, reason in found["broken"]] == [
        ("before/1.png", "the picture cannot be split: the pictures are 24x40 and 24x24 pixels, which are two shapes"),
        ("before/2.png", "the picture cannot be split: the picture before is 7x7 pixels"),
    ]
    assert ("after/0.png" not in str(found)) and "the larger one was reduced" in found["note"][0][2]
    names = {sample["text"]: sample for sample in samples(tmp_path / "out" / "train.jsonl")}[said("depth", 0)]
    assert (people.pixels_of(tmp_path / "out" / names["source"]) == people.pixels_of(pairs / "before" / "0.png")).all()
    reduced = people.pixels_of(tmp_path / "out" / names["target"]).astype(int)
    assert reduced.shape == (24, 24, 3) and abs(reduced - people.pixels_of_picture(after)).mean() < 8
    assert before.size == (24, 24)


def test_texts_that_are_missing_empty_or_none_at_all(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "some")
    (pairs / "after" / "1.txt").unlink()
    put(pairs / "after" / "2.txt", " \n")
    found = build_told(pairs, tmp_path / "out")
    assert found["broken"] == [
        (".", "before/1.png", "no text of this name lies beside it, as with other pictures"),
        (".", "before/2.png", "'after/2.txt' holds no instruction"),
    ]
    assert used(tmp_path / "out") == EVERY - {said("depth", 1), said("depth", 2)}
    found = build_told(depth(tmp_path / "none", texts=False), tmp_path / "without")
    assert len(found["note"]) == 1 and "no texts lie beside its pictures" in found["note"][0][2]
    assert used(tmp_path / "without") == {""} and found["broken"] == []
    put(tmp_path / "none" / "prompt.txt", "One for all.\n")
    assert build_told(tmp_path / "none", tmp_path / "shared") == {"broken": [], "note": [], "duplicate": []}
    assert used(tmp_path / "shared") == {"One for all."}


def test_folders_or_columns_that_may_both_be_meant(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "pairs")
    put(pairs / "source" / "1.png", both("depth", 1)[0])
    stderr = run("dataset", "build", pairs, tmp_path / "out", status=1).stderr
    assert "the folders 'before', 'source' may all hold the pictures before" in stderr
    row = {"source": "a.png", "input_image": "b.png", "target": "c.png", "text": "do"}
    put(tmp_path / "list.jsonl", json.dumps(row))
    stderr = run("dataset", "build", tmp_path / "list.jsonl", tmp_path / "out", status=1).stderr
    assert "the columns 'input_image', 'source' may all be the picture before" in stderr


def test_captions_of_single_pictures_are_no_pairs(tmp_path: Path) -> None:
    put(tmp_path / "pairs" / "1.png", both("depth", 1)[0])
    put(tmp_path / "pairs" / "metadata.jsonl", json.dumps({"file_name": "1.png", "text": "a cat"}))
    stderr = run("dataset", "build", tmp_path / "pairs", tmp_path / "out", status=1).stderr
    assert "metadata.jsonl: its rows name no pairs of pictures: found 'file_name', 'text'; expected" in stderr


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    pairs = people.listed(tmp_path / "pairs", "list.jsonl", "source", "target", "prompt", "task")
    rows = [json.loads(line) for line in (pairs / "list.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = (
        ({"source": None}, "'source' should be text, found null"),
        ({"target": "/etc/x.png"}, "'target' is an absolute path"),
        ({"target": "../../x.png"}, "'target' leads out of the dataset's folder"),
        ({"target": "a\\..\\..\\x.png"}, "'target' leads out of the dataset's folder"),
        ({"target": rows[0]["source"]}, "'source' and 'target' are one file"),
        ({"target": "gone.png"}, "No such file"),
        ({"prompt": ""}, "'prompt' is empty"),
        ({"cond1": "x.png"}, "run-ready dataset already"),
    )
    lines = [json.dumps({**rows[0], **change}) for change, _ in wrong]
    with (pairs / "list.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    found = build_told(pairs, tmp_path / "out")
    reasons = {where: reason for where, _, reason in found["broken"]}
    for number, (_, reason) in enumerate(wrong, len(rows) + 1):
        assert reason in reasons.pop(f"list.jsonl:{number}")
    assert reasons == {} and len(used(tmp_path / "out")) == len(rows)


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_that_was_made_on_windows(tmp_path: Path, packed: bool) -> None:
    pairs = people.listed(tmp_path / "pairs", "list.csv", "source", "target", "prompt", "task")
    text = (pairs / "list.csv").read_text(encoding="utf-8").replace("/", "\\")
    (pairs / "list.csv").write_text(text, encoding="utf-8-sig", newline="\r\n")
    file = people.zipped(pairs, tmp_path / "a.zip") if packed else pairs
    assert build_told(file, tmp_path / "out") == {"broken": [], "note": [], "duplicate": []}
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_rows_of_a_csv_that_cannot_be_used(tmp_path: Path) -> None:
    pairs = people.listed(tmp_path / "pairs", "metadata.csv", "source", "target", "text")
    with (pairs / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("a.png,b.png,do,1,2,3\na.png\n")
    found = build_told(pairs, tmp_path / "out")
    assert [reason for *_, reason in found["broken"]] == [
        "the row has more fields than the first one names: 2 too many",
        "it has no 'target'",
    ]
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_the_result_is_no_part_of_the_dataset(tmp_path: Path) -> None:
    pairs = people.names_in_a_folder(tmp_path)
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    shutil.copytree(pairs / "depth", elsewhere / "depth")
    (pairs / "linked").symlink_to(elsewhere)
    for _ in range(2):
        found = build_told(pairs, pairs / "out")
        assert found["note"] == [
            ("linked", "", "it is a link to a folder, which is not followed; give the folder itself")
        ]
        assert found["broken"] == [] == found["duplicate"]
        assert len(used(pairs / "out")) == len(TASKS) * PICTURES


@pytest.mark.parametrize("how", ["relative", "by a link", "with dots"])
def test_the_result_is_no_part_of_the_dataset_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pairs = people.names_in_a_folder(tmp_path / "pairs")
    (tmp_path / "link").symlink_to(pairs)
    monkeypatch.chdir(tmp_path)
    out = {"relative": Path("pairs/out"), "by a link": tmp_path / "link/out", "with dots": pairs / "depth/../out"}[how]
    for _ in range(2):
        found = build_told(pairs, out)
        assert found == {"broken": [], "note": [], "duplicate": []}
        assert json.loads((out / "tasks.json").read_text()).keys() == set(TASKS)


def test_what_holds_no_pairs(tmp_path: Path) -> None:
    put(tmp_path / "pairs" / "1.png", both("depth", 1)[0])
    stderr = run("dataset", "build", tmp_path / "pairs", tmp_path / "out", status=1).stderr
    assert "holds no paired dataset. Expected one of these in it" in stderr and "'before' and 'after'" in stderr
    people.zipped(tmp_path / "pairs", tmp_path / "a.zip")
    stderr = run("dataset", "build", tmp_path / "a.zip", tmp_path / "out", status=1).stderr
    assert "a.zip: it holds no paired dataset; expected" in stderr
    before = tree(tmp_path)
    (tmp_path / "a.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100))
    stderr = run("dataset", "build", tmp_path / "a.rar", tmp_path / "out", status=1).stderr
    assert "a.rar': archives of this kind are not read; expected .zip" in stderr
    (tmp_path / "a.rar").unlink()
    assert tree(tmp_path) == before


def test_tables_that_cannot_be_used(tmp_path: Path) -> None:
    rows = people.table(list(TASKS))
    folder = tmp_path / "pairs"
    folder.mkdir()
    people.write_parquet(rows, folder / "good.parquet")
    good = (folder / "good.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(good[: len(good) // 2])
    (folder / "noise.arrow").write_bytes(b"ARROW1\0\0" + bytes(300))
    people.write_parquet(rows.drop_columns(["edited_image"]), folder / "one.parquet")
    people.write_parquet(rows.append_column("source", rows["input_image"]), folder / "unclear.parquet")
    people.write_parquet(rows.slice(0, 0), folder / "rows.parquet")
    outside = [
        {"bytes": None, "path": "/etc/x.png"},
        {"bytes": None, "path": None},
        {"bytes": b"none", "path": "a.png"},
    ]
    others = [{"bytes": people.encoded(both("rain", number)[0]), "path": None} for number in range(3)]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = pa.array(["do", None, "do"])
    few = pa.table({"source": pa.array(outside, image), "target": pa.array(others, image), "text": texts})
    people.write_parquet(few, folder / "few.parquet")
    found = build_told(folder, tmp_path / "out")
    said_of = {where: reason for where, _, reason in found["broken"]}
    expected = {
        "cut.parquet": "it cannot be read as a table",
        "noise.arrow": "it cannot be read as a table",
        "one.parquet": "it has no two columns of pictures that make a pair, such as 'source' and 'target'; found",
        "unclear.parquet": "the columns 'input_image', 'source' may all be the picture before",
        "rows.parquet": "it has no rows",
        "few.parquet/rows.jsonl:1": "'source' holds the path '/etc/x.png' without the picture; expected the bytes",
        "few.parquet/rows.jsonl:2": "'source' holds no picture; expected the bytes of its file",
        "few.parquet/rows.jsonl:3": "the picture cannot be read: the file is not a picture",
    }
    assert said_of.keys() == expected.keys()
    for where, reason in expected.items():
        assert reason in said_of[where], where
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_names_in_a_table_that_cannot_be_used(tmp_path: Path) -> None:
    pairs = people.table_of_names(tmp_path / "pairs", "metadata.parquet")
    rows = pq.read_table(pairs / "metadata.parquet").to_pylist()
    wrong = {
        "/etc/x.png": "'source' is an absolute path; expected one relative to the file",
        "../x.png": "'source' leads out of the dataset's folder",
        None: "'source' should be text, found null",
        "gone.png": "the picture cannot be read: No such file or directory",
        rows[0]["target_path"]: "'source' and 'target_path' are one file",
    }
    rows += [{**rows[0], "source": name} for name in wrong]
    people.write_parquet(pa.Table.from_pylist(rows), pairs / "metadata.parquet")
    found = build_told(pairs, tmp_path / "out")
    first = len(TASKS) * PICTURES + 1
    expected = {f"metadata.parquet:{number}": reason for number, reason in enumerate(wrong.values(), first)}
    assert {where: reason for where, _, reason in found["broken"]} == expected
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_a_picture_in_a_table_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs its row alone, and the message says where it is."""
    rows = people.table(["depth"])
    largest = max(len(cell["bytes"]) for cell in rows["input_image"].to_pylist()) + 1
    monkeypatch.setattr(tables, "MAX_BYTES", largest)
    large = [{"bytes": bytes(largest + 1), "path": None}, *rows["edited_image"].to_pylist()[1:]]
    place = rows.schema.get_field_index("edited_image")
    (tmp_path / "pairs").mkdir()
    people.write_parquet(
        rows.set_column(place, "edited_image", pa.array(large, rows.schema.field(place).type)),
        tmp_path / "pairs" / "a.parquet",
    )
    for _ in range(2):  # the second time, of what was unpacked before
        ((where, _, reason),) = build_told(tmp_path / "pairs", tmp_path / "out")["broken"]
        assert where == "a.parquet/rows.jsonl:1"
        assert reason.startswith("the picture in 'edited_image' has 0 MB; expected at most 0 MB")
        assert used(tmp_path / "out") == EVERY - {said("depth", 0)}


def test_archives_of_two_sides_that_do_not_match(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "pairs")
    (pairs / "after" / "0.png").unlink()
    put(pairs / "after" / "notes.txt", "none")
    folder = tmp_path / "packed"
    for side in ("before", "after"):
        folder.mkdir(exist_ok=True)
        people.zipped(pairs / side, folder / f"{side}.zip")
    found = build_told(folder, tmp_path / "out")
    assert found["broken"] == [
        (
            "before.zip + after.zip",
            "before.zip + after.zip/before/0.png",
            "no picture of this name, with any ending, is in 'after'",
        )
    ]
    assert used(tmp_path / "out") == EVERY - {said("depth", 0)}
    shutil.rmtree(folder)
    folder.mkdir()
    put(pairs / "texts" / "1.txt", "do")
    for side in ("before", "after"):
        people.zipped(pairs / "texts", folder / f"{side}.zip")
    stderr = run("dataset", "build", folder, tmp_path / "other", status=1).stderr
    assert "before.zip + after.zip: they hold no pictures; expected pictures of equal names in both" in stderr


def kohya(pairs: Path, entries: dict[str, object]) -> None:
    put(pairs / "meta_cap.json", json.dumps(entries))


def test_one_file_of_texts_that_lacks_some_or_says_two_things(tmp_path: Path) -> None:
    pairs = depth(tmp_path / "pairs", texts=False)
    entries = {f"/another/machine/after/{number}.png": {"caption": said("depth", number)} for number in range(3)}
    kohya(pairs, {**entries, "after/1.png": "Beside it.", "x/after/2.png": "Another.", "4": "no picture"})
    found = build_told(pairs, tmp_path / "out")
    assert found["broken"] == [
        (".", "before/2.png", "'meta_cap.json' has several texts for 'after/2'; expected one"),
        (".", "before/3.png", "no text of this name lies beside it, as with other pictures"),
    ]
    assert used(tmp_path / "out") == {said("depth", 0), "Beside it."}


def test_one_file_of_texts_is_for_the_pictures_below_it(tmp_path: Path) -> None:
    """A bare name in it says nothing of pictures of that name elsewhere."""
    pairs = tmp_path / "pairs"
    for task in TASKS:
        for number in range(2):
            for side, picture in zip(("before", "after"), both(task, number), strict=True):
                put(pairs / task / side / f"{number}.png", picture)
    kohya(pairs / "rain", {str(number): {"tags": said("rain", number)} for number in range(2)})
    found = build_told(pairs, tmp_path / "out")
    assert [(where, reason.split(":")[0]) for where, _, reason in found["note"]] == [
        ("depth", "no texts lie beside its pictures")
    ]
    assert used(tmp_path / "out") == {"", said("rain", 0), said("rain", 1)}


@pytest.mark.parametrize("text", ['{"after/1.png": {"caption": "do"', "[" * 100_000, "[1, 2]", '{"a": 1}'])
def test_one_file_of_texts_that_is_damaged_or_none(tmp_path: Path, text: str) -> None:
    pairs = depth(tmp_path / "pairs", texts=False)
    put(pairs / "meta_cap.json", text)
    found = build_told(pairs, tmp_path / "out")
    told = [(where, reason.split(":")[0]) for where, _, reason in found["broken"]]
    assert told == ([] if text in ("[1, 2]", '{"a": 1}') else [("meta_cap.json", "it is no usable JSON")])
    assert used(tmp_path / "out") == {""}


def test_a_text_goes_before_a_json_whose_task_counts(tmp_path: Path) -> None:
    """Also before one that has no instruction, as other programs' files about pictures do."""
    pairs = depth(tmp_path / "pairs", texts=False)
    for number in range(PICTURES):
        put(pairs / "after" / f"{number}.json", json.dumps({"task": "deep", "prompt": "No."} if number else {"w": 24}))
        put(pairs / "after" / f"{number}.caption", said("depth", number) if number == 1 else "No.")
        if number != 1:
            put(pairs / "after" / f"{number}.txt", said("depth", number))
    for layout, folder in (("two folders", pairs), ("names", tmp_path / "names")):
        if layout == "names":
            folder.mkdir()
            for file in sorted(pairs.rglob("*.*")):
                shutil.copy(file, folder / f"{file.stem}_{file.parent.name}{file.suffix}")
        found = list(open_dataset(folder, tmp_path / "out", tmp_path / "work").entries())
        entries = [one for one in found if isinstance(one, PairEntry)]
        assert len(entries) == PICTURES and {one.instruction for one in entries} == EVERY, layout
        assert sorted(one.task for one in entries) == ["deep"] * (PICTURES - 1) + [folder.name], layout


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = people.parquet(tmp_path / "pairs")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    stderr = run("dataset", "build", pairs, tmp_path / "out", status=1).stderr
    assert "This needs pyarrow, which is not installed." in stderr and "pip install '.[dataset]'" in stderr
