"""Files that are called pictures: those of known formats are read, everything else is refused, in bounded memory."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from relation_core.errors import PictureError
from relation_core.pictures.picture_file import (
    MAX_BYTES,
    MAX_PIXELS,
    decode_picture,
    read_picture,
    read_picture_file,
    readable_suffixes,
)

FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", *(["AVIF"] if features.check("avif") else [])]


def drawn(size: tuple[int, int] = (48, 32)) -> Image.Image:
    picture = Image.new("RGB", size, (200, 40, 40))
    picture.paste((30, 60, 220), (0, 0, size[0] // 2, size[1]))
    return picture


def png(width: int, height: int, depth: int = 1, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".nothing"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_known_format_is_read_whatever_its_name(kind: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"picture{suffix}"
    drawn().save(file, kind)
    found = read_picture_file(file)
    assert (found.format, found.several, found.pixels.mode, found.pixels.size) == (kind, False, "RGB", (48, 32))
    assert np.abs(np.asarray(found.pixels, int) - np.asarray(drawn(), int)).mean() < 8
    assert decode_picture(file.read_bytes(), "it").tobytes() == read_picture(file).tobytes() == found.pixels.tobytes()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_read(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    drawn().save(file, kind, save_all=True, append_images=[Image.new("RGB", (48, 32), "white")] * 2)
    found = read_picture_file(file)
    assert found.several
    assert np.abs(np.asarray(found.pixels, int) - np.asarray(drawn(), int)).mean() < 8


def test_the_endings_are_those_of_the_formats() -> None:
    expected = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
    assert expected <= set(readable_suffixes())
    assert (".avif" in readable_suffixes()) == ("AVIF" in FORMATS)
    assert not {".eps", ".ps", ".pdf", ".jp2", ".ico", ".psd", ".wmf", ".mpg"} & set(readable_suffixes())


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PPM", "TGA", "ICO", "JPEG2000", "SGI", "PCX", "DDS", "ICNS", "IM"])
def test_other_formats_are_refused_under_the_name_of_a_picture(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    drawn((64, 64)).save(file, kind)
    with pytest.raises(PictureError, match=r"picture\.png': the file is not a picture of a known format. Expected a P"):
        read_picture(file)


@pytest.mark.skipif(os.name == "nt", reason="a stand-in for Ghostscript is a script")
@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, 99, *[0] * 4)]
)
def test_no_program_is_started_for_postscript(start: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    (folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    (tmp_path / "picture.png").write_bytes(start + b"%%BoundingBox: 0 0 72 72\n%%EndComments\nshowpage\n")
    code = (
        "from pathlib import Path\nfrom relation_core.errors import PictureError\n"
        "from relation_core.pictures.picture_file import read_picture\n"
        "try:\n    read_picture(Path('picture.png'))\nexcept PictureError as error:\n    print(error)\n"
    )
    path = os.pathsep.join(["", *(entry for entry in sys.path if entry)])
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()) + path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not a picture of a known format" in run.stdout
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only Unix has these")
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a socket", "a folder"])
def test_only_regular_files_are_opened(kind: str, linked: bool, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path = Path("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    else:
        socket.socket(socket.AF_UNIX).bind(str(path))
    if linked:
        (tmp_path / "link.jpg").symlink_to(path)
        path = tmp_path / "link.jpg"
    with pytest.raises(PictureError, match=f"{path.name}': it is {kind}; expected a regular file. Check the path."):
        read_picture(path)


@pytest.mark.parametrize("name", ["missing.png", "x" * 300 + ".png", "\0.png", "pic\x1b[31m\nture.png", "\ud800.png"])
def test_what_is_not_there_is_named_on_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"Cannot read the picture '.*png': .*Check the path") as caught:
        read_picture(tmp_path / name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("size", [(MAX_PIXELS + 1, 1), (1, MAX_PIXELS + 1), (8193, 8192), (13_000, 13_000)])
def test_a_small_file_that_claims_many_pixels_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size))
    with pytest.raises(PictureError, match=rf"bomb.png': it has {size[0]} x {size[1]} pixels; expected at most 67,1"):
        read_picture(tmp_path / "bomb.png")
    (tmp_path / "bomb.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    with pytest.raises(PictureError, match=r"bomb.png': it has too many pixels; expected at most 67,108,864 in all"):
        read_picture(tmp_path / "bomb.png")


def test_a_file_of_any_size_is_not_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "endless.webp").open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\xffWEBPVP8 ")
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PictureError, match=r"it has 537.9 MB; expected at most 537.9 MB"):
        read_picture(tmp_path / "endless.webp")


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "P"])
@pytest.mark.slow
def test_the_largest_picture_that_is_read_takes_less_than_two_gigabytes(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (8192, 8192)).save(tmp_path / "large.png")
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom relation_core.pictures.picture_file import read_picture\n"
        "assert read_picture(Path(sys.argv[1])).size == (8192, 8192)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, check=True)
    assert int(run.stdout) < 2e6


def test_a_cut_picture_is_told_from_a_whole_one(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.effect_noise((64, 64), 60).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:-900])
    with pytest.raises(PictureError, match=r"cut.png': .*truncated.*whole: download the file again"):
        read_picture(tmp_path / "cut.png")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("F", (8, 8)).save(tmp_path / "deep.tiff")
    with pytest.raises(PictureError, match=r"deep.tiff': The picture's pixels are floating-point .*\. Convert it"):
        read_picture(tmp_path / "deep.tiff")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_the_right_way_up(kind: str, tmp_path: Path) -> None:
    """Each turn and mirroring that a camera can note; rows above, columns on the left."""
    upright = Image.new("RGB", (48, 32), "black")
    upright.paste("white", (0, 0, 32, 8))
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that each orientation is stored by
    for orientation, transposed in undone.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{kind.lower()}"
        upright.transpose(Image.Transpose(transposed)).save(path, kind, exif=exif)
        read = np.asarray(read_picture(path), dtype=int)
        assert read.shape == (32, 48, 3)
        assert np.abs(read - np.asarray(upright, dtype=int)).mean() < 4, orientation
