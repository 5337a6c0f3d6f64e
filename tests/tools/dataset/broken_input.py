"""Kinds of broken input, each with a word of the reason that must be given for it."""

from __future__ import annotations

import json
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from synthetic import entry, paired_picture

GOOD = "good/picture.jpg"


def broken_lines() -> list[tuple[bytes, str]]:
    """Lines of a ``.jsonl`` that no entry can be made of."""
    return [*_wrong_fields(), *_wrong_values(), *_wrong_syntax(), *_wrong_encoding(), *_wrong_paths()]


def _line(**changes: Any) -> bytes:
    return json.dumps({**entry(0, 0, GOOD), **changes}).encode()


def _wrong_fields() -> list[tuple[bytes, str]]:
    values: list[Any] = [None, True, False, 0, -1, 1.5, 1e300, [], ["text"], {}, {"text": "text"}]
    blank = ["", " ", "\n", "\t", " \r\n ", "\u3000", "\u00a0"]
    kinds: list[tuple[bytes, str]] = []
    for key in ("edit_instruction", "img_name"):
        kinds += [(_line(**{key: value}), f"'{key}' should be text, found") for value in values]
        kinds += [(_line(**{key: value}), f"'{key}' is empty") for value in blank]
        kinds.append((_line(**{key: "half \ud83d of a letter"}), f"'{key}' is not valid Unicode"))
        kinds.append((_line(**{key: "\udc00"}), f"'{key}' is not valid Unicode"))
        fields = entry(0, 0, GOOD)
        del fields[key]
        kinds.append((json.dumps(fields).encode(), f"no '{key}'"))
        kinds.append((json.dumps({**fields, key.upper(): "text"}).encode(), f"no '{key}'"))
        kinds.append((json.dumps({**fields, f" {key}": "text"}).encode(), f"no '{key}'"))
    return kinds


def _wrong_values() -> list[tuple[bytes, str]]:
    sample = dict.fromkeys(("cond1", "cond2", "source", "target", "text"), "a.jpg")
    values: list[Any] = [None, True, False, 0, -2.5, "text", "", [], [[]], [1, 2], [entry(0, 0, GOOD)]]
    kinds = [(json.dumps(value).encode(), "expected an object") for value in values]
    kinds += [(literal, "expected an object") for literal in (b"NaN", b"-Infinity", b"1e999")]
    return [*kinds, (b"{}", "no 'edit_instruction'"), (json.dumps(sample).encode(), "run-ready dataset already")]


def _wrong_syntax() -> list[tuple[bytes, str]]:
    good = _line()
    cuts = [1, 2, 10, 30, 60, len(good) // 2, len(good) - 30, len(good) - 2, len(good) - 1]
    texts = [good[:cut] for cut in cuts]
    texts += [good[1:], good[:-1] + b"]", good + b"}", good + good, good + b" garbage", b"," + good, b"garbage " + good]
    texts += [good.replace(b'"', b"'"), good.replace(b":", b"="), good.replace(b",", b";"), good[:-1] + b",}"]
    texts += [good.replace(b'"img_name"', b"img_name"), good.replace(b'"', b"\xe2\x80\x9d"), b"# comment", b"// note"]
    texts += [
        b"undefined",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"{]",
        b"{{}}",
        b'{"a"}',
        b'{"a":}',
        b'{:"a"}',
        b"01",
        b"+1",
        b".",
    ]
    texts += [b"img_name,edit_instruction", b"<html></html>", b"---", b"version https://git-lfs.github.com/spec/v1"]
    texts += [good.replace(b"Apply", b"Ap\x00ply"), good.replace(b"Apply", b"Ap\tply"), good.replace(b"Apply", b"\\q")]
    texts += [good.replace(b"Apply", b"\\u12"), b"[" * 200_000, b'{"a":' * 200_000]
    return [(text, "not ") for text in texts]


def _wrong_encoding() -> list[tuple[bytes, str]]:
    inserted = [
        b"\xff",
        b"\xfe\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"caf\xe9",
        b"\xc0\xaf",
    ]
    return [(_line().replace(b"Apply", bad), "not UTF-8") for bad in inserted]


def _wrong_paths() -> list[tuple[bytes, str]]:
    outside = ["../outside.jpg", "../../outside.jpg", "good/../../outside.jpg", "a/b/../../../c.jpg", ".."]
    absolute = [
        "/etc/hostname",
        "//server/share/a.jpg",
        "C:\\pictures\\a.jpg",
        "c:/a.jpg",
        "\\\\server\\a.jpg",
        "\\a.jpg",
    ]
    kinds = [(_line(img_name=name), "leads out") for name in outside]
    kinds += [(_line(img_name=name), "absolute path") for name in absolute]
    return [*kinds, (_line(img_name="good/pic\0ture.jpg"), "NUL")]


def broken_pictures(folder: Path) -> list[tuple[str, str]]:
    """Write pictures that cannot be used; return their names, of which some do not exist, and the reason."""
    folder.mkdir(parents=True)
    kinds = [*_not_files(folder), *_not_pictures(folder), *_cut_pictures(folder), *_damaged_pngs(folder)]
    return [*kinds, *_unsuitable_pictures(folder)]


def _not_files(folder: Path) -> list[tuple[str, str]]:
    (folder / "folder.jpg").mkdir()
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    missing = ["missing.jpg", "no/such/folder.jpg", "GOOD.JPG", "good.jpeg", "g\u043eod.jpg", "*.jpg"]
    return [
        *((name, "No such file") for name in missing),
        ("folder.jpg", "regular file"),
        ("pipe.jpg", "regular file"),
        ("dangling.jpg", "No such file"),
        ("loop.jpg", "cannot be read"),
        (".", "regular file"),
        ("x" * 300 + ".jpg", "too long"),
    ]


def _not_pictures(folder: Path) -> list[tuple[str, str]]:
    contents = {
        "empty.jpg": b"",
        "zero.jpg": bytes(4096),
        "space.png": b" ",
        "text.jpg": b"This is no picture.",
        "page.jpg": b"<!doctype html><title>404 Not Found</title>",
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="32"/>',
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "paper.jpg": b"%PDF-1.7\n",
        "archive.jpg": b"PK\x03\x04" + bytes(64),
        "program.png": b"\x7fELF" + bytes(64),
        "array.png": b"\x93NUMPY\x01\x00" + bytes(64),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [(name, "not a picture") for name in contents]


def _cut_pictures(folder: Path) -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000"):
        buffer = BytesIO()
        paired_picture(3, 3, 32).save(buffer, kind)
        whole = buffer.getvalue()
        for share in (0.05, 0.3, 0.6, 0.85):
            name = f"cut_{share}.{kind.lower()}"
            (folder / name).write_bytes(whole[: int(len(whole) * share)])
            names.append((name, "picture"))
    return names


def _png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2, spoil: bool = False) -> bytes:
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks:
        check = zlib.crc32(name + content) ^ int(spoil and name == b"IHDR")
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", check))
    return b"".join(parts)


def _damaged_pngs(folder: Path) -> list[tuple[str, str]]:
    row = zlib.compress(b"".join(b"\0" + bytes(3 * 64) for _ in range(32)))
    contents = {
        "bomb.png": _png(100_000, 100_000, row),
        "zero_width.png": _png(0, 32, row),
        "no_data.png": _png(64, 32, b""),
        "noise_data.png": _png(64, 32, bytes(range(256))),
        "short_data.png": _png(64, 32, zlib.compress(bytes(100))),
        "wrong_check.png": _png(64, 32, row, spoil=True),
        "wrong_depth.png": _png(64, 32, row, depth=7),
        "wrong_colour.png": _png(64, 32, row, colour=5),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [(name, "picture") for name in contents]


def _unsuitable_pictures(folder: Path) -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    for width, height in ((1, 1), (1, 64), (2, 64), (15, 15), (64, 1), (64, 7), (7, 7)):
        name = f"tiny_{width}x{height}.png"
        Image.new("RGB", (width, height), (width, height, 9)).save(folder / name)
        names.append((name, f"{width}x{height}"))
    Image.new("F", (64, 32), 0.5).save(folder / "float.tiff")
    uneven = paired_picture(5, 5, 32).resize((400, 120))
    uneven.paste((255, 255, 255), (165, 0, 169, 120))
    uneven.save(folder / "uneven.png")
    return [*names, ("float.tiff", "floating-point"), ("uneven.png", "too unequal")]
