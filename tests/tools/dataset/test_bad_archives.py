"""Archives that are damaged, lead out or never end: nothing is written outside OUT, and no loss is silent."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import people
import pytest
from built import build_told, run, tree, used
from people import PICTURES, TASKS, add, both, encoded

from relation_tools.dataset import budget
from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry
from relation_tools.dataset.problems import Problem

HOSTILE = (
    "../outside.png",
    "a/../../outside.png",
    "/tmp/outside.png",
    "C:\\outside.png",
    "\\outside.png",
    "..\\outside.png",
)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return people.names_in_a_folder(tmp_path / "good")


def outside(tmp_path: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree(tmp_path).items() if not name.startswith("out/")}


def test_a_zip_that_leads_out(good: Path, tmp_path: Path) -> None:
    pairs = people.zipped(good, tmp_path / "a.zip")
    with zipfile.ZipFile(pairs, "a") as archive:
        for name in HOSTILE:
            archive.writestr(name, encoded(both("depth", 0)[0]))
        link = zipfile.ZipInfo("depth/link_before.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("depth/0_before.png", encoded(both("rain", 0)[0]))
        archive.writestr("notes.pdf", "x")
        archive.writestr("__MACOSX/depth/._0_before.png", "x")
    before = outside(tmp_path)
    found = build_told(pairs, tmp_path / "out")
    assert outside(tmp_path) == before
    reasons = {picture: reason for _, picture, reason in found["broken"]}
    assert reasons.pop("depth/link_before.png") == "it is a link or a device, which are not unpacked"
    assert reasons.pop("depth/0_before.png") == "the archive has this name twice"
    assert len(reasons) == len(HOSTILE)
    assert all("outside the dataset" in reason or "leads out" in reason for reason in reasons.values())
    assert found["note"] == [
        ("a.zip", "", "1 files that are neither pictures nor lists are not unpacked (1 .pdf): 'notes.pdf'")
    ]
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_a_tar_that_leads_out(good: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "a.tar"
    with tarfile.open(pairs, "w") as archive:
        kinds = {"down": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "device": tarfile.BLKTYPE}
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name if name == "down" else f"{name}.png")
            info.type, info.linkname = kind, str(tmp_path)
            archive.addfile(info)
        for name in (*HOSTILE, "down/under.png"):
            add(archive, name, encoded(both("depth", 0)[0]))
        archive.add(good, ".")
    before = outside(tmp_path)
    found = build_told(pairs, tmp_path / "out")
    assert outside(tmp_path) == before and not (tmp_path / "under.png").exists()
    reasons = [reason for *_, reason in found["broken"]]
    assert reasons.count("it is a link or a device, which are not unpacked") == 4
    assert sum("outside the dataset" in reason or "leads out" in reason for reason in reasons) == len(HOSTILE)
    assert len(reasons) == 4 + len(HOSTILE)
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_archives_that_are_damaged(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    whole = people.zipped(good, folder / "whole.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.tar").write_bytes(b"")
    plain = people.tarred(good, folder / "plain.tar", "w").read_bytes()
    (folder / "plain.tar").unlink()
    (folder / "noise.tar").write_bytes(bytes(range(256)) * 8)
    packed = gzip.compress(plain)
    (folder / "cut.tgz").write_bytes(packed[: len(packed) - 30])
    spoiled = bytearray(packed)
    spoiled[-6] ^= 1  # of the checksum
    (folder / "spoiled.tgz").write_bytes(spoiled)
    found = build_told(folder, tmp_path / "out")
    reasons = {where: reason for where, _, reason in found["broken"]}
    assert "makes no pair" in reasons.pop("cut.tgz/rain")  # its counterpart is what was cut off
    assert "it is no whole zip" in reasons.pop("cut.zip")
    assert "cut short" in reasons.pop("empty.tar") and "cut short" in reasons.pop("noise.tar")
    assert "cut short after '" in reasons.pop("cut.tgz")
    assert reasons.pop("spoiled.tgz").endswith("Nothing of it is used") and reasons == {}
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES


def test_one_damaged_picture_of_a_zip(good: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:  # stored as it is
        for path in sorted(good.rglob("*.*")):
            archive.write(path, path.relative_to(good))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    place = data.index((good / "depth" / "2_after.png").read_bytes())
    data[place + 60] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    found = build_told(tmp_path / "a.zip", tmp_path / "out")
    assert [(picture, reason.split(":")[0]) for _, picture, reason in found["broken"]] == [
        ("depth/2_after.png", "it is damaged"),
        ("a.zip/depth/2_before.png", "'2_before.png' makes no pair; expected one picture before and one after"),
    ]
    assert len(used(tmp_path / "out")) == len(TASKS) * PICTURES - 1


@pytest.mark.parametrize("place", ["inside a file", "between files"])
def test_a_tar_that_is_cut_short(good: Path, tmp_path: Path, place: str) -> None:
    """Python's own reader takes a cut between two files for the end."""
    data = people.tarred(good, tmp_path / "a.tar", "w").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        last = [info for info in archive if info.isfile()][-1]
    cut = last.offset_data + 100 if place == "inside a file" else last.offset
    (tmp_path / "a.tar").write_bytes(data[:cut])
    found = build_told(tmp_path / "a.tar", tmp_path / "out")
    said = [reason for where, _, reason in found["broken"] if where == "a.tar"]
    expected = "cut short after '" if place == "inside a file" else "it has no end mark, so that files after '"
    assert any(expected in reason for reason in said), found


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_bomb(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(budget, "_ALWAYS", 1 << 20)
    (good / "depth" / "zeros.bmp").write_bytes(bytes(30 << 20))
    folder = tmp_path / "archives"
    folder.mkdir()
    file = folder / f"bomb{suffix}"
    people.zipped(good, file) if suffix == ".zip" else people.tarred(good, file, "w:gz")
    stderr = run("dataset", "build", file, tmp_path / "out", status=1).stderr
    assert f"bomb{suffix}: it has 0.0 MB and unpacks to more than" in stderr.replace("0.1 MB", "0.0 MB")
    unpacked = tmp_path / "out" / ".build" / "unpacked"
    assert sum(path.stat().st_size for path in unpacked.rglob("*") if path.is_file()) < 10_000


def sparse(name: str, size: int) -> bytes:
    """A member of a tar in GNU's old form, with a hole in place of all its bytes."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = f"{size:011o}\0{0:011o}\0".encode()  # the one stretch of data is empty and lies at the end
    header[483:495] = f"{size:011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def test_a_hole_in_a_tar_is_not_filled(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "1_before.png", encoded(both("depth", 0)[0]))
        add(archive, "1_after.png", encoded(both("depth", 0)[1]))
    whole = (tmp_path / "a.tar").read_bytes()
    holes = b"".join(sparse(name, 300 << 20) for name in ("a.csv", "2_before.png"))
    (tmp_path / "a.tar").write_bytes(holes + whole)
    found = list(open_dataset(tmp_path / "a.tar", tmp_path / "out", tmp_path / "work").entries())
    said = {one.picture: one.reason for one in found if isinstance(one, Problem) and one.kind == "broken"}
    assert said.keys() == {"a.csv", "2_before.png"} and all("it is a sparse file" in reason for reason in said.values())
    assert [one.picture for one in found if isinstance(one, PairEntry)] == ["a.tar/1_before.png"]
    assert sum(path.stat().st_size for path in (tmp_path / "work").rglob("*") if path.is_file()) < 1 << 20


def test_a_zip_that_unpacks_all_at_once_is_not_unpacked(tmp_path: Path) -> None:
    """Of bzip2 in a zip, Python unpacks whatever 4 KB hold in one piece."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1_before.png", encoded(both("depth", 0)[0]), zipfile.ZIP_LZMA)
        archive.writestr("1_after.png", encoded(both("depth", 0)[1]), zipfile.ZIP_DEFLATED)
        archive.writestr("a.csv", bytes(8 << 20), zipfile.ZIP_BZIP2)
    found = list(open_dataset(tmp_path / "a.zip", tmp_path / "out", tmp_path / "work").entries())
    assert [one.reason for one in found if isinstance(one, Problem) and one.kind == "broken"] == [
        "it is compressed by bzip2, which is not read in a zip; expected deflate, or none"
    ]
    assert [one.picture for one in found if isinstance(one, PairEntry)] == ["a.zip/1_before.png"]


def test_an_archive_in_an_archive_and_one_in_a_folder_do_not_mix(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    (pairs / "within").mkdir(parents=True)
    people.names_in_a_folder(tmp_path / "good")
    inner = people.zipped(tmp_path / "good" / "rain", tmp_path / "a.zip")
    with zipfile.ZipFile(pairs / "x.zip", "w") as archive:
        archive.write(inner, "a.zip")
    people.zipped(tmp_path / "good" / "depth", pairs / "within" / "x.zip")
    for _ in range(2):
        found = list(open_dataset(pairs, tmp_path / "out", tmp_path / "work").entries())
        assert len(found) == 2 * PICTURES and all(isinstance(one, PairEntry) for one in found)


def test_archives_in_archives_share_what_they_may_unpack_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_ALWAYS", 4 << 20)
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.bmp", bytes(1 << 20))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.zip", zeros.getvalue())
    run("dataset", "build", tmp_path / "a.zip", tmp_path / "out", status=1)
    unpacked = tmp_path / "out" / ".build" / "unpacked"
    assert sum(path.stat().st_size for path in unpacked.rglob("*.bmp")) <= 4 << 20


def test_what_is_unpacked_stays_until_the_archive_changes(good: Path, tmp_path: Path) -> None:
    pairs = people.zipped(good, tmp_path / "a.zip")
    build_told(pairs, tmp_path / "out")
    unpacked = tmp_path / "out" / ".build" / "unpacked"
    first = {path: path.stat().st_ino for path in unpacked.rglob("*.png")}
    assert len(first) == 2 * len(TASKS) * PICTURES
    expected = tree(tmp_path / "out")
    build_told(pairs, tmp_path / "out")
    assert {path: path.stat().st_ino for path in unpacked.rglob("*.png")} == first and tree(
        tmp_path / "out"
    ) == expected
    next((unpacked / "records").iterdir()).unlink()  # it was killed while it unpacked
    next(iter(first)).write_bytes(b"half")
    build_told(pairs, tmp_path / "out")
    assert tree(tmp_path / "out") == expected
    shutil.rmtree(good / "rain")
    people.zipped(good, pairs)
    build_told(pairs, tmp_path / "out")
    assert len(used(tmp_path / "out")) == PICTURES
