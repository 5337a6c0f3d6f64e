"""Folders of sources: what is read, what is named, what is made anew, and who makes it."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from folder_edit import CASE, edit, golden_models
from PIL import Image, ImageOps

from relation_core.pictures.picture_file import readable_suffixes
from relation_tools.diffusers_host import editing
from relation_tools.diffusers_host.jobs import EditJob, claimed
from relation_tools.diffusers_host.pipeline import RelationPipeline

SOURCE = CASE.folder / "source.png"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return golden_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    for name in ("a.png", "b.png"):
        Image.open(SOURCE).save(tmp_path / "sources" / name)
    return tmp_path / "sources"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_readable_ending_is_edited_and_the_others_are_named(
    models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    picture = Image.open(SOURCE).convert("RGB").resize((32, 24))
    for number, suffix in enumerate(readable_suffixes()):
        picture.save(sources / f"{number:02d}{suffix if number % 2 else suffix.upper()}")
    assert {".jfif", ".gif", ".tiff", ".webp"} <= set(readable_suffixes())
    for name in ("one.heic", "two.HEIC", "notes.txt", "noend"):
        (sources / name).write_bytes(b"x")
    os.mkfifo(sources / "pipe.png")
    assert edit(models, sources, tmp_path / "out") == 0
    assert len(names_in(tmp_path / "out")) == len(readable_suffixes())
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "5 files in" in warning and "(2 .heic, 1 .png, 1 .txt, 1 no ending)" in warning
    assert all(name in warning for name in ("one.heic", "two.HEIC", "notes.txt", "noend", "pipe.png"))


def test_names_that_the_disk_does_not_take_fail_alone(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = "x" * 251 + ".jpg"  # as a .png it has as many letters
    edge = "y" * 251 + ".bmp"
    for name in (long, edge, os.fsdecode(b"\xff\xfe.png")):
        Image.open(SOURCE).convert("RGB").save(sources / name, format="PNG")
    assert edit(models, sources, tmp_path / "out") == 0
    assert len(names_in(tmp_path / "out")) == 5
    caplog.clear()
    assert edit(models, sources, tmp_path / "sheets", sheets=True) == 1  # whose names are too long for the disk
    assert len(names_in(tmp_path / "sheets")) == 6
    assert "3 of 5 pictures edited" in caplog.text and "2 of 5 pictures failed" in caplog.text
    assert caplog.text.count("File name too long") == 2
    caplog.text.encode()  # no lone surrogates


def test_a_picture_that_fails_does_not_end_the_others(
    models: dict[str, Path],
    sources: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, seen = RelationPipeline.edit, list[int]()

    def sometimes(*arguments: Any, **named: Any) -> Image.Image:
        seen.append(1)
        if len(seen) == 1:
            raise MemoryError
        return real(*arguments, **named)

    monkeypatch.setattr(RelationPipeline, "edit", sometimes)
    assert edit(models, sources, tmp_path / "out") == 1
    assert names_in(tmp_path / "out") == ["b.png"]
    assert "a.png': out of memory" in caplog.text and "1 of 2 pictures failed" in caplog.text
    assert edit(models, sources, tmp_path / "out") == 0
    assert names_in(tmp_path / "out") == ["a.png", "b.png"]


def test_results_of_other_sources_settings_or_models_are_named(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"

    def says(status: int, what: str, *options: str) -> None:
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        caplog.clear()
        assert edit(models, sources, out, *options) == status
        assert what in caplog.text, caplog.text
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    assert edit(models, sources, out) == 0
    says(0, "All 2 results are there already")
    for change in ("--seed=5", "--strength=0.5", "--fit=stretch", "--weight=2", "--lora-strength=0.5"):
        says(1, "2 results were made of another source", change)
    copy = tmp_path / "other.png"
    ImageOps.mirror(Image.open(SOURCE)).save(copy)
    for replaced in ("before", "after"):
        kept = models[replaced].read_bytes()
        models[replaced].write_bytes(copy.read_bytes())
        says(1, "2 results were made of another source")
        models[replaced].write_bytes(kept)
    lora = bytearray(models["lora"].read_bytes())
    kept, times = bytes(lora), models["lora"].stat()
    lora[-1] ^= 1  # of one length and time
    models["lora"].write_bytes(lora)
    os.utime(models["lora"], ns=(times.st_atime_ns, times.st_mtime_ns))
    says(1, "2 results were made of another source")
    models["lora"].write_bytes(kept)
    says(0, "All 2 results are there already")
    (sources / "a.png").write_bytes(copy.read_bytes())
    says(1, "1 results were made of another source, or with other settings or models, and were left as they are: a.png")
    assert edit(models, sources, out, "--overwrite") == 0
    says(0, "All 2 results are there already")


def test_a_picture_that_another_process_edits_is_left_to_it(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with claimed(EditJob(sources / "a.png", out / "a.png")) as own:
        assert own
        assert edit(models, sources, out) == 0
        assert "1 pictures are being edited by another process: a.png" in caplog.text
        assert edit(models, sources / "a.png", out / "a.png") == 1
        assert "Another process is editing" in caplog.text
    assert names_in(out) == ["b.png"]
    assert edit(models, sources, out) == 0
    assert names_in(out) == ["a.png", "b.png"]


def test_two_runs_edit_no_picture_twice(
    models: dict[str, Path], sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        Image.open(SOURCE).save(sources / f"{number}.png")
    written: list[str] = []
    save = editing.save_picture

    def recorded(picture: Image.Image, path: Path, identity: str = "") -> None:
        written.append(path.name)
        save(picture, path, identity)

    monkeypatch.setattr(editing, "save_picture", recorded)
    ended: list[int] = []
    runs = [threading.Thread(target=lambda: ended.append(edit(models, sources, tmp_path / "out"))) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert ended == [0, 0]
    assert sorted(written) == names_in(tmp_path / "out") == names_in(sources)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_hold_every_picture_once(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    for name in ("c.png", "d.png", "e.png"):
        shutil.copy(sources / "a.png", sources / name)
    made: list[list[str]] = []
    for number in range(1, count + 1):
        out = tmp_path / f"out_{number}"
        assert edit(models, sources, out, f"--shard={number}/{count}") == 0
        made.append(names_in(out) if out.exists() else [])
    assert sorted(name for share in made for name in share) == names_in(sources)
    assert {len(share) for share in made} <= {5 // count, 5 // count + 1}
    assert ("Share 6/7 of the pictures holds none" in caplog.text) == (count == 7)


def test_shares_name_results_as_the_whole_folder_does(models: dict[str, Path], sources: Path, tmp_path: Path) -> None:
    Image.open(SOURCE).convert("RGB").save(sources / "a.jpg")
    assert edit(models, sources, tmp_path / "whole") == 0
    for number in (1, 2, 3):
        assert edit(models, sources, tmp_path / "shares", f"--shard={number}/3") == 0
    assert names_in(tmp_path / "shares") == names_in(tmp_path / "whole") == ["a.jpg.png", "a.png.png", "b.png"]


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "-1/2", "1/2/3", "\u0661/2", "1/99999999", "", "a/b"])
def test_a_share_that_is_none_is_refused(
    models: dict[str, Path], sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit):
        edit(models, sources, tmp_path / "out", f"--shard={text}")
    assert "expected I/N with I from 1 to N" in capsys.readouterr().err


def test_one_picture_cannot_be_shared(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert edit(models, sources / "a.png", tmp_path / "a.png", "--shard=1/2") == 1
    assert "--shard 1/2 is given for one picture; expected a folder" in caplog.text
    assert not (tmp_path / "a.png").exists()
