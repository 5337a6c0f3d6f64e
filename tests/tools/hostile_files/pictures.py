"""Hostile pictures: bombs, odd modes, animations, and other formats under a picture's name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
from damage import POSTSCRIPT, Damage, of_bytes
from PIL import Image, features

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", *(("AVIF",) if features.check("avif") else ()))
OTHERS = ("EPS", "PDF", "PPM", "TGA", "ICO", "JPEG2000", "SGI", "PCX", "DDS", "ICNS", "IM", "MSP", "SPIDER")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2, more: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _noise(draw: Random, width: int = 40, height: int = 24, mode: str = "RGB") -> Image.Image:
    pixels = np.frombuffer(draw.randbytes(width * height * 3), np.uint8).reshape(height, width, 3)
    return Image.fromarray(pixels).convert(mode)


def _bombs() -> Iterator[tuple[str, bytes]]:
    zeros = zlib.compress(bytes(50_000_000), 9)
    yield "a bomb of pixels", png(100_000, 100_000, zlib.compress(bytes(1000)))
    yield "a bomb just within the limit", png(8192, 8192, zeros)
    yield "a bomb of one bit", png(8191, 8191, zeros, depth=1, colour=0)
    yield "16 bits", png(3000, 3000, zeros, depth=16, colour=6)
    yield "a bomb of text", png(8, 8, zlib.compress(bytes(200)), more=_chunk(b"zTXt", b"a\0\0" + zeros))
    yield "a bomb of a profile", png(8, 8, zlib.compress(bytes(200)), more=_chunk(b"iCCP", b"a\0\0" + zeros))
    yield "many texts", png(8, 8, zlib.compress(bytes(200)), more=_chunk(b"tEXt", b"a\0" + b"b" * 500) * 3000)
    yield "zero width", png(0, 32, zlib.compress(bytes(100)))
    yield "zero height", png(32, 0, zlib.compress(bytes(100)))
    yield "negative width", png(2**31 + 5, 5, zlib.compress(bytes(100)))
    for width, height in ((1, 20_000), (20_000, 1), (1, 1 << 20), (1, 1), (2, 1)):
        yield f"{width} x {height}", _saved(Image.new("RGB", (width, height)), "PNG")
    frame = b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0"
    yield "a GIF of giant frames", b"GIF89a\x08\0\x08\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 500 + b";"
    yield (
        "a WebP that claims much",
        b"RIFF\xff\xff\xff\x7fWEBPVP8X\n\0\0\0\x02\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(30),
    )
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 2**31), (257, 2**31), (259, 1)))
    yield "a TIFF that claims much", b"II*\0\x08\0\0\0\x03\0" + tags + bytes(4)
    yield "a TIFF whose directory is its own next", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    many = struct.pack("<HHII", 270, 2, 2**32 - 1, 8)
    yield "a TIFF of long texts", b"II*\0\x08\0\0\0\xff\xff" + many * 3000
    yield (
        "a BMP that claims much",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 200, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield (
        "a BMP with a giant palette",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 200, 0, 54, 40, 4, 4, 1, 8, 0, 0, 0, 0, 2**31, 0),
    )
    yield (
        "a JPEG of 65500 x 65500",
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xd9",
    )
    yield "a JPEG of many scans", _saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)[:-2] * 300


def _modes() -> Iterator[tuple[str, bytes]]:
    draw = Random(5)  # noqa: S311 - a test
    for mode, kind in (
        *(("CMYK", "JPEG"), ("CMYK", "TIFF"), ("I;16", "PNG"), ("I;16", "TIFF"), ("I", "TIFF"), ("F", "TIFF")),
        *(
            ("1", "PNG"),
            ("L", "JPEG"),
            ("LA", "PNG"),
            ("LAB", "TIFF"),
            ("YCbCr", "TIFF"),
            ("RGBA", "WEBP"),
            ("P", "GIF"),
        ),
    ):
        converted = mode not in ("I;16", "LA", "LAB", "I", "F")  # the others Pillow does not make of RGB
        picture = _noise(draw, mode=mode) if converted else Image.new(mode, (40, 24))
        yield f"{mode} as {kind}", _saved(picture, kind)
    palette = _noise(draw, mode="P")
    yield "a palette with transparency", _saved(palette, "PNG", transparency=bytes(range(256)))
    yield "a palette with one transparent colour", _saved(palette, "PNG", transparency=7)
    yield "grey with transparency", _saved(_noise(draw, mode="L"), "PNG", transparency=9)
    yield (
        "a palette too short",
        png(8, 8, zlib.compress(b"\0\xff\xff\xff\xff\xff\xff\xff\xff" * 8), 8, 3, _chunk(b"PLTE", b"\1\2\3")),
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "turned", _saved(_noise(draw), "JPEG", exif=exif)
    for number, data in enumerate(
        (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 300, b"Exif\0\0", b"Exif\0\0II*\0" + b"\x08\0\0\0" * 90)
    ):
        yield f"strange Exif {number}", _saved(_noise(draw), "JPEG", exif=data)
    frames = [_noise(draw) for _ in range(3)]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        yield f"animated {kind}", _saved(frames[0], kind, save_all=True, append_images=frames[1:])
    for kind in (*FORMATS, *OTHERS):
        picture = _noise(draw, 64, 64, {"MSP": "1", "SPIDER": "F"}.get(kind, "RGB"))
        whole = _saved(picture, kind)
        yield f"{kind} under another name", whole
        yield f"{kind} cut", whole[: len(whole) * 2 // 3]


@cache
def _pictures() -> dict[str, bytes]:
    return dict(_modes()) | dict(_bombs())


def picture_damages() -> Iterator[Damage]:
    """All of them, in place of a good picture."""
    for name, data in _pictures().items():
        yield of_bytes(name, lambda old, draw, data=data: data)
    yield of_bytes("PostScript", lambda old, draw: POSTSCRIPT)
    yield of_bytes(
        "wrapped PostScript",
        lambda old, draw: b"\xc5\xd0\xd3\xc6" + struct.pack("<7I", 32, 99, 0, 0, 0, 0, 0) + POSTSCRIPT,
    )
    for number in range(20):
        yield of_bytes(f"a flipped picture {number}", _flipped)


def _flipped(old: bytes, draw: Random) -> bytes:
    whole = bytearray(_saved(_noise(draw), draw.choice(FORMATS)))
    for _ in range(draw.randint(1, 12)):
        whole[draw.randrange(len(whole))] ^= draw.randint(1, 255)
    return bytes(whole)


def good_picture(path: Path, size: tuple[int, int] = (40, 24)) -> None:
    """A picture with nothing wrong about it."""
    _noise(Random(path.name), *size).save(path)  # noqa: S311 - a test
