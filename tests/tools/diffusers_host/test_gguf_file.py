"""GGUF headers: every kind of entry is read past, and what is no whole GGUF is refused at once."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf_writing import write_gguf

from relation_core.errors import CheckpointError
from relation_tools.diffusers_host.gguf_file import read_gguf
from relation_tools.diffusers_host.transformer_file import load_transformer

MANY = 2**63 - 1


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(entries: bytes = b"", count: int = 0, tensors: bytes = b"", tensor_count: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensor_count, count) + entries + tensors


def info(name: str = "a", shape: tuple[int, ...] = (32, 2), kind: int = 8, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def test_every_kind_of_entry_is_read_past(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "all.gguf", "flux")
    for bits in (8, 16, 32, 64):
        getattr(writer, f"add_uint{bits}")(f"u{bits}", 1)
        getattr(writer, f"add_int{bits}")(f"i{bits}", -1)
    writer.add_float32("f32", 0.5)
    writer.add_float64("f64", 0.5)
    writer.add_bool("b", True)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("texts", ["a", "bc"])
    writer.add_custom_alignment(256)
    values = np.arange(96, dtype=np.float32).reshape(3, 32)
    writer.add_tensor("plain", values)
    writer.add_tensor("half", values.astype(np.float16))
    eight = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("blocks", gguf.quants.quantize(values, eight), raw_dtype=eight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found, expected = read_gguf(tmp_path / "all.gguf"), gguf.GGUFReader(tmp_path / "all.gguf").tensors
    assert [*found] == [tensor.name for tensor in expected]
    for tensor in expected:
        ours = found[tensor.name]
        assert ours.kind == tensor.tensor_type.name and ours.shape == (3, 32)
        assert ours.quantised == (ours.kind == "Q8_0")
        assert np.array_equal(ours.stored.read().numpy(), tensor.data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "its header ends early"),
        (b"GGML" + bytes(60), "does not start as a GGUF of version 2 or 3"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "does not start as a GGUF of version 2 or 3"),
        (header(count=MANY) + bytes(64), "9,223,372,036,854,775,807 entries, for which it is too short"),
        (header(tensor_count=MANY) + bytes(64), "entries, for which it is too short"),
        (header(struct.pack("<Q", MANY) + bytes(30), 1), "its header ends early"),
        (header(text("a") + struct.pack("<IIQ", 9, 0, MANY) + bytes(30), 1), "its header ends early"),
        (header(text("a") + struct.pack("<IIQ", 9, 8, MANY) + bytes(30), 1), "for which it is too short"),
        (header(text("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(30), 1), "a list of kind 9"),
        (header(text("a") + struct.pack("<I", 77) + bytes(30), 1), "an entry of kind 77"),
        (header(text("general.alignment") + struct.pack("<II", 4, 0), 1), "aligned to 0 bytes"),
        (header(b"\1" + bytes(7) + b"\xff" + struct.pack("<IQ", 10, 0), 1), "can't decode byte"),
        (header(tensors=info(shape=(1,) * 9), tensor_count=1), "'a' has 9 axes"),
        (header(tensors=info(), tensor_count=1) + bytes(80), "'a' ends beyond it"),
        (header(tensors=info(shape=(2**40, 2**40)), tensor_count=1) + bytes(90), "'a' ends beyond it"),
        (header(tensors=info(shape=(2**63, 0)), tensor_count=1) + bytes(90), "'a' is .* which holds no values"),
        (header(tensors=info(shape=(0,), kind=0), tensor_count=1) + bytes(90), "'a' is .* which holds no values"),
        (header(tensors=info(offset=2**63), tensor_count=1) + bytes(90), "'a' ends beyond it"),
        (header(tensors=info(shape=(33, 2)), tensor_count=1) + bytes(90), r"\(2, 33\) in blocks of 32"),
        (header(tensors=info(kind=16), tensor_count=1) + bytes(90), "'a' in .* is quantised as IQ2_XXS"),
        (header(tensors=info(kind=999), tensor_count=1) + bytes(90), "'a' in .* is quantised as 999"),
        (header(tensors=2 * info(), tensor_count=2) + bytes(90), "two tensors of one name"),
    ],
)
def test_what_is_no_whole_gguf_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "flux.gguf").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"flux\.gguf.*{said}|{said}"):
        read_gguf(tmp_path / "flux.gguf")


def test_another_model_in_a_gguf_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "llama.gguf", {"blk.0.attn_q.weight": torch.ones(32, 32)})
    with pytest.raises(CheckpointError, match=r"expected FLUX\.1's transformer"):
        load_transformer(path, torch.float32)
    path = write_gguf(tmp_path / "part.gguf", {"double_blocks.0.img_attn.qkv.weight": torch.ones(96, 32)})
    with pytest.raises(CheckpointError, match=r"part\.gguf is not a complete FLUX\.1 transformer"):
        load_transformer(path, torch.float32)
