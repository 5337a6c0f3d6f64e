"""Adapter files with something wrong, made from seeds: always the same ones. Here the file itself is wrong."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from code_pickles import LIVE, Call, disguised, live_pickle, opcodes, zipped
from corrupted_bytes import (
    flipped,
    headed,
    saved,
    truncated,
    with_entries,
    with_header,
    with_pickle,
    with_second,
    zip_regions,
)
from corrupted_tensors import NAMES, WHOLE, nested, weights, whole_bin, whole_legacy, whole_safetensors, wrong_tensors
from corruption import DANGLING_LINK, EITHER, FOLDER, LOOPED_LINK, NOWHERE, READ, Corruption, by_name, file_of, fixed
from safetensors.torch import save


def truncations() -> Iterator[Corruption]:
    for form, make in WHOLE.items():
        for name, content in truncated(make()):
            yield file_of(f"{form} {name}", content, Path(form).suffix)
        yield file_of(f"{form} with more after it", make() + b"x" * 100, Path(form).suffix, EITHER)


def flips() -> Iterator[Corruption]:
    zipfile_, legacy, flat = whole_bin(), whole_legacy(), whole_safetensors()
    for region, where in zip_regions(zipfile_).items():
        for seed in range(20):
            yield file_of(f"zip {region} flipped {seed}", flipped(zipfile_, where, seed), outcome=EITHER)
    for seed in range(40):
        changed = with_pickle(zipfile_, lambda data, seed=seed: flipped(data, (0, len(data)), seed))
        yield file_of(f"zip pickle flipped under a right checksum {seed}", changed, outcome=EITHER)
    for seed in range(30):
        yield file_of(f"legacy flipped {seed}", flipped(legacy, (0, 2600), seed), outcome=EITHER)
    header = 8 + int.from_bytes(flat[:8], "little")
    for seed in range(40):
        yield file_of(f"safetensors header flipped {seed}", flipped(flat, (0, header), seed), ".safetensors", EITHER)
    for seed in range(20):
        yield file_of(f"weights flipped {seed}", flipped(flat, (header, len(flat)), seed), ".safetensors", EITHER)


_REFUSED = r"it asks for \w[\w.]+, which was not run"


def code() -> Iterator[Corruption]:
    for name in LIVE:
        for protocol in (2, 4):
            yield Corruption(
                f"code by {name}, protocol {protocol}",
                ".bin",
                lambda marker, name=name, protocol=protocol: zipped(live_pickle(name, marker, protocol)),
                says=_REFUSED if protocol == 2 and name not in opcodes(Path()) else f"{_REFUSED}|not a complete",
                live=True,
            )
    for name in LIVE:
        yield Corruption(f"bare code by {name}", ".pt", lambda marker, name=name: live_pickle(name, marker), live=True)
    inert = ("second data.pkl", "TorchScript", "storage", "zip in a zip")  # PyTorch runs nothing of these, ever
    for name in disguised(Path("marker")):
        yield Corruption(
            f"code in {name}", ".bin", lambda marker, name=name: disguised(marker)[name], live=name not in inert
        )
    for suffix in (".safetensors", ".sft", ".ckpt", ".pth"):
        yield Corruption(
            f"code named {suffix}",
            suffix,
            lambda marker: zipped(live_pickle("os.system", marker)),
            live=suffix in (".ckpt", ".pth"),
        )

    def beside_tensors(marker: Path) -> bytes:
        content: dict[str, Any] = nested(weights())
        content["ip_adapter"]["3.to_k_ip.weight"] = Call(print, "ran")
        return saved({**content, "more": Call(Path.touch, marker)})

    yield Corruption("code beside tensors", ".bin", beside_tensors, says="was not run", live=True)


def archives() -> Iterator[Corruption]:
    whole = whole_bin()
    deflated = with_entries(whole, lambda name, data: data, zipfile.ZIP_DEFLATED)
    yield file_of("a compressed zip", deflated, says="compressed archive")

    def without(part: str) -> bytes:
        return with_entries(whole, lambda name, data: None if name.endswith(part) else data)

    for part in ("/data.pkl", "/data/0", "/data/9"):
        yield file_of(f"a zip without {part}", without(part))
    for part in ("/data.pkl", "/data/0"):
        says = "entries of the same name"  # PyTorch reads the first of them, Python's zipfile the last
        yield file_of(f"a zip with two {part}", with_second(whole, part), says=says)
    for part in ("/version", "/byteorder"):
        yield file_of(f"a zip without {part}", without(part), outcome=EITHER)
    for order in (b"big", b"sideways", b""):
        changed = with_entries(whole, lambda name, data, o=order: o if name.endswith("byteorder") else data)
        yield file_of(f"a zip of byte order {order!r}", changed, outcome=EITHER)
    shorter = with_entries(whole, lambda name, data: data[: len(data) // 2] if "/data/" in name else data)
    yield file_of("a zip with storages cut short", shorter, outcome=EITHER)
    for number in (b"1\n", b"9999\n", b"x", b""):
        changed = with_entries(whole, lambda name, data, n=number: n if name.endswith("/version") else data)
        yield file_of(f"a zip of version {number!r}", changed, outcome=EITHER)
    renamed = {"above": "../../evil/", "absolute": "/tmp/evil/", "drive": "C:\\evil\\", "dots": "./", "nothing": "/"}
    for name, folder in renamed.items():
        yield file_of(f"a zip with paths {name}", _moved(whole, folder), outcome=EITHER)
    yield file_of("a zip with two folders", _moved(whole, "a/", "b/"), outcome=EITHER)
    yield file_of("a zip of nothing", b"PK\x05\x06" + bytes(18))
    yield file_of("a zip of text", _zipfile_of({"readme.txt": b"hello"}))
    yield file_of("a zip that says it is encrypted", _encrypted(whole), outcome=EITHER)


def _zipfile_of(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _moved(whole: bytes, *folders: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        inner = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    return _zipfile_of({folders[index % len(folders)] + name: data for index, (name, data) in enumerate(inner.items())})


def _encrypted(whole: bytes) -> bytes:
    changed = bytearray(whole)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(signature)
        while place >= 0:
            changed[place + offset] |= 1
            place = changed.find(signature, place + 4)
    return bytes(changed)


def headers() -> Iterator[Corruption]:
    whole = whole_safetensors()
    first = f'{{"{NAMES[0]}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    made: dict[str, bytes] = {
        "garbage": headed(b"{not json"),
        "a list": headed(b"[]"),
        "a number": headed(b"1e400"),
        "nothing": headed(b""),
        "deeply nested": headed(b"[" * 100_000 + b"]" * 100_000),
        "not UTF-8": headed(b'{"\xff\xfe": {}}'),
        "the same name twice": headed((first + "," + first[1:] + "}").encode(), bytes(4)),
        "numbers in its metadata": headed(b'{"__metadata__":{"a":1}}'),
        "null": headed(f'{{"{NAMES[0]}":null}}'.encode()),
    }
    for length in (0, 1, 2**31, 2**40, 2**63, 2**64 - 1, 100_000_001):
        made[f"a length of {length}"] = headed(b"{}", length=length)
    entries: dict[str, dict[str, Any]] = {
        "an unknown dtype": {"dtype": "F7"},
        "a negative shape": {"shape": [-7, -6]},
        "a vast shape": {"shape": [2**62, 4]},
        "a shape beyond numbers": {"shape": [2**70]},
        "a shape of fractions": {"shape": [1.5, 2]},
        "a shape of text": {"shape": "7x6"},
        "offsets backwards": {"data_offsets": [84, 0]},
        "offsets beyond the end": {"data_offsets": [0, 2**40]},
        "negative offsets": {"data_offsets": [-84, 0]},
        "three offsets": {"data_offsets": [0, 84, 84]},
        "offsets over others": {"data_offsets": [40, 124]},
    }
    for name, entry in entries.items():
        made[name] = with_header(whole, lambda header, entry=entry: header[NAMES[0]].update(entry))
    for name, content in made.items():
        yield file_of(f"a header with {name}", content, ".safetensors", says="not a complete|Missing")
    for text in ("0", "-1", "1e3", "", "128.0", "9" * 5000, "1025", "\u00b2", "[128]", " 128", "127"):
        yield file_of(
            f"head_dim {text[:9]!r}", save(weights(), {"head_dim": text}), ".safetensors", says="head_dim|heads of"
        )


def other_files() -> Iterator[Corruption]:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5290000000\n"
    texts = {
        "text": b"hello",
        "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
        "a pointer of Git LFS": pointer,
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
    }
    for name, content in texts.items():
        for suffix in (".bin", ".safetensors"):
            yield file_of(f"{name} named {suffix}", content, suffix, says="not a complete")
    yield file_of("a pickle named .safetensors", whole_bin(), ".safetensors", says="not a complete")
    yield file_of("safetensors named .bin", whole_safetensors(), says="not a complete")
    for suffix in (".gguf", ".txt", "", ".onnx"):
        yield file_of(f"an adapter named '{suffix}'", whole_bin(), suffix, says="expected weights in a file")
    for form, make in WHOLE.items():
        yield file_of(f"a good {form}", make(), Path(form).suffix, READ)
    yield file_of("half of the numbers of a pickle", struct.pack("<I", 7) + whole_bin())


def places() -> Iterator[Corruption]:
    """What is no file at all."""
    for kind in (FOLDER, DANGLING_LINK, LOOPED_LINK, NOWHERE):
        for suffix in (".bin", ".safetensors"):
            yield Corruption(f"{kind} named {suffix}", suffix, fixed(b""), says="expected a file", kind=kind)


def corrupted_adapters() -> dict[str, Corruption]:
    """All of them by name."""
    groups = (truncations, flips, wrong_tensors, code, archives, headers, other_files, places)
    return by_name(corruption for group in groups for corruption in group())
