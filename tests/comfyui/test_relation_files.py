"""Relations saved, loaded and shared."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from edits import GOLDEN, Edit
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from comfyui_host.host import GraphError, Host
from relation_core.pictures.tensors import to_pil
from relation_core.pictures.thumbnails import pair_thumbnail

WEIGHTS = itertools.count(0.0625, 0.0625)


@pytest.fixture
def saved(edit: Edit, request: pytest.FixtureRequest) -> Path:
    folder = edit.host.base / "output" / "relations"
    before = set(folder.glob("*.safetensors")) if folder.exists() else set()
    save(edit, "mine", weight=next(WEIGHTS))  # the same one again would come from ComfyUI's cache
    (file,) = set(folder.glob("*.safetensors")) - before
    return file


def save(edit: Edit, prefix: str, weight: float = 1.0) -> None:
    relation = edit.relation(weight=weight)
    graph = edit.graph.copy()
    graph.add("SaveRelation", relation=relation, filename_prefix=prefix)
    edit.host.execute(graph)


def load(edit: Edit, name: str, adapter: object = None) -> object:
    edit.host.forget_file_lists()
    return edit.graph.add("LoadRelation", relation_adapter=adapter or edit.adapter(), relation_name=name)


def test_files_are_numbered_as_comfyui_does(edit: Edit, saved: Path) -> None:
    number = int(saved.stem.split("_")[1])
    assert saved.name == f"mine_{number:05}_.safetensors"
    save(edit, "mine", weight=next(WEIGHTS))
    assert (saved.parent / f"mine_{number + 1:05}_.safetensors").is_file()
    assert not list(saved.parent.glob(".*"))


def test_a_replaced_relation_is_noticed(edit: Edit, saved: Path) -> None:
    """Of the same length and time."""
    first = edit.run(load(edit, saved.name)[0]).tokens
    content, times = load_file(saved), saved.stat()
    with safe_open(saved, framework="pt") as file:
        metadata = dict(file.metadata())
    save_file({**content, "tokens": content["tokens"].flip(1).contiguous()}, saved, metadata)
    os.utime(saved, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert saved.stat().st_size == times.st_size
    second = edit.run(load(edit, saved.name)[0]).tokens
    assert torch.equal(second, first.flip(1)) and not torch.equal(second, first)


@pytest.mark.parametrize("prefix", ["", ".", "folder/"])
def test_a_name_that_comfyui_gives_twice_replaces_no_file(edit: Edit, saved: Path, prefix: str) -> None:
    """It counts the files of such prefixes wrongly."""
    before = set(saved.parent.rglob("*.safetensors"))
    for _ in range(2):
        save(edit, prefix, weight=next(WEIGHTS))
    made = set(saved.parent.rglob("*.safetensors")) - before
    assert len(made) == 2
    for file in made:
        file.unlink()


SAVES_THERE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from relation_core.weights.lock import alone_at
file = Path(sys.argv[2])
with alone_at(file, "saving"):
    print("begun", flush=True)
    sys.stdin.read()
    file.write_bytes(b"theirs")
"""


def test_a_name_that_another_server_is_saving_to_is_left_to_it(edit: Edit, saved: Path) -> None:
    number = int(saved.stem.split("_")[1])
    theirs, ours = (saved.with_name(f"mine_{number + more:05}_.safetensors") for more in (1, 2))
    command = [sys.executable, "-c", SAVES_THERE, str(GOLDEN.parents[1]), str(theirs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"begun\n"
        save(edit, "mine", weight=next(WEIGHTS))
        assert ours.is_file() and not theirs.exists()
        other.communicate(timeout=60)
    assert theirs.read_bytes() == b"theirs" and not list(saved.parent.glob(".*"))
    theirs.unlink()


def test_loading_gives_the_same_relation(edit: Edit, saved: Path) -> None:
    loaded = edit.run(load(edit, saved.name))
    relation = edit.run(edit.relation(weight=loaded.pair_weights[0]))
    assert torch.equal(loaded.keys_values.keys, relation.keys_values.keys)
    assert torch.equal(loaded.keys_values.values, relation.keys_values.values)
    assert torch.equal(loaded.thumbnails, relation.thumbnails)
    assert loaded.pair_weights == relation.pair_weights
    assert loaded.fingerprint == relation.fingerprint


FRESH_PROCESS = """
import sys, torch
root, adapter, mode, folder, *dtypes = sys.argv[1:]
sys.path.insert(0, root)
from relation_core.adapter.adapter import open_adapter
from relation_core.relation.relation import encode_relation
from relation_core.relation.relation_file import load_relation, save_relation
adapter = open_adapter(adapter)
for dtype in dtypes:
    file = f"{folder}/{dtype}.safetensors"
    if mode == "save":
        pooled = torch.randn(2, 2, adapter.config.vision_dim, generator=torch.Generator().manual_seed(1))
        thumbnails = torch.arange(2 * 8 * 16 * 3, dtype=torch.uint8).reshape(2, 8, 16, 3)
        relation = encode_relation(adapter, pooled, thumbnails, 0.7, "cpu", getattr(torch, dtype))
        save_relation(relation, file)
    else:
        relation = load_relation(file, adapter, "cpu")
    held = [relation.keys_values.keys, relation.keys_values.values, relation.tokens, relation.pair_weights]
    torch.save(held, f"{folder}/{mode} {dtype}")
"""


def test_a_fresh_process_gives_bit_identical_keys_and_values(tmp_path: Path) -> None:
    dtypes = ("float32", "bfloat16", "float16")
    adapter = GOLDEN / "two_heads" / "ip_adapter.bin"
    for mode in ("save", "load"):
        command = [sys.executable, "-c", FRESH_PROCESS, str(GOLDEN.parents[1]), str(adapter), mode, str(tmp_path)]
        subprocess.run([*command, *dtypes], check=True, env={**os.environ, "PYTHONPATH": ""})
    for dtype in dtypes:
        made, loaded = (torch.load(tmp_path / f"{mode} {dtype}") for mode in ("save", "load"))
        assert made[0].dtype == getattr(torch, dtype)
        assert all(torch.equal(a, b) for a, b in zip(made[:3], loaded[:3], strict=True)), dtype
        assert made[3] == loaded[3] == (0.7, 0.7), dtype


def test_models_relations_is_listed_too(edit: Edit, saved: Path) -> None:
    shared = edit.host.model_folder("relations") / "from_a_friend.safetensors"
    shared.write_bytes(saved.read_bytes())
    assert edit.run(load(edit, shared.name)).pairs == 1
    (options,) = [
        given.options
        for given in edit.host.node_classes["LoadRelation"].define_schema().inputs
        if given.id == "relation_name"
    ]
    assert {shared.name, saved.name} <= set(options)


def test_the_loader_shows_the_pair(edit: Edit, saved: Path) -> None:
    pictures = edit.host.shown(edit.graph, load(edit, saved.name))
    assert [picture.size for picture in pictures] == [(256, 128)]
    relation = edit.run(load(edit, saved.name))
    assert np.array_equal(np.asarray(pictures[0].convert("RGB")), relation.thumbnails[0].numpy())
    before, after = (edit.run(edit.picture(name)) for name in ("before", "after"))
    assert torch.equal(relation.thumbnails, pair_thumbnail(to_pil(before)[0], to_pil(after)[0]))


def test_another_adapters_relation_is_refused_with_both_names(edit: Edit, host: Host, saved: Path) -> None:
    other = Edit(host, "two_heads")
    names = [given.adapter.fingerprint for given in (edit.run(edit.adapter()), other.run(other.adapter()))]
    with pytest.raises(GraphError, match=rf"adapter {names[0]}; this is the adapter {names[1]}"):
        other.run(load(other, saved.name))


def rewritten(saved: Path, target: Path, **changes: object) -> None:
    with safe_open(saved, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    for name, change in changes.items():
        if name in tensors or isinstance(change, torch.Tensor):
            tensors[name] = change
        else:
            metadata[name] = change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, target, metadata)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "pt"}, "not a relation"),
        ({"version": "9"}, "not a relation"),
        ({"adapter": "../../etc"}, "does not name its adapter"),
        ({"tokens": torch.zeros(1, 8, 31)}, r"a pair, not \(8, 32\)"),
        ({"tokens": torch.zeros(8, 32)}, "its tokens are"),
        ({"tokens": torch.zeros(1, 8, 32, dtype=torch.int64)}, "its tokens are torch.int64"),
        ({"tokens": torch.full((1, 8, 32), float("nan"))}, "not all finite"),
        ({"tokens": torch.zeros(65, 8, 32)}, "its tokens are"),
        ({"tokens": torch.zeros(0, 8, 32)}, "its tokens are"),
        ({"weights": torch.ones(2, dtype=torch.float64)}, "its weights are"),
        ({"weights": torch.ones(1)}, "its weights are"),
        ({"weights": torch.tensor([-1.0], dtype=torch.float64)}, "weight -1.0"),
        ({"weights": torch.tensor([float("inf")], dtype=torch.float64)}, "weight inf"),
        ({"thumbnails": torch.zeros(1, 4, 4, 4, dtype=torch.uint8)}, "its pictures are"),
        ({"thumbnails": torch.zeros(1, 4, 2000, 3, dtype=torch.uint8)}, "its pictures are"),
        ({"thumbnails": torch.zeros(1, 4, 4, 3)}, "its pictures are"),
        ({"thumbnails": torch.zeros((), dtype=torch.uint8)}, "its pictures are"),
        ({"more": torch.zeros(1)}, "in place of tokens, weights and thumbnails"),
    ],
)
def test_a_file_of_a_stranger_is_checked(edit: Edit, saved: Path, changes: dict[str, object], says: str) -> None:
    bad = saved.with_name("bad.safetensors")
    rewritten(saved, bad, **changes)
    with pytest.raises(GraphError, match=says) as error:
        edit.run(load(edit, bad.name))
    assert "Error:" in str(error.value)
    bad.unlink()


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_allocated(edit: Edit, saved: Path) -> None:
    header = {"tokens": {"dtype": "F32", "shape": [1 << 20, 1 << 20, 1], "data_offsets": [0, 4 << 40]}}
    text = json.dumps(header).encode()
    bad = saved.with_name("huge.safetensors")
    bad.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(GraphError, match="is not a complete"):
        edit.run(load(edit, bad.name))
    bad.unlink()


@pytest.mark.parametrize("name", ["../../../secret.safetensors", "/etc/passwd", "..\\secret.safetensors", ""])
def test_names_cannot_leave_the_folder(edit: Edit, host: Host, name: str) -> None:
    secret = host.base / "secret.safetensors"
    secret.write_bytes(b"secret")
    with pytest.raises(GraphError, match="There is no file"):
        edit.run(load(edit, name))


@pytest.mark.parametrize("prefix", ["../escaped", "/tmp/escaped", "a/../../escaped"])
def test_saving_cannot_leave_the_folder(edit: Edit, prefix: str) -> None:
    with pytest.raises(GraphError, match="outside the output folder"):
        save(edit, prefix)
    assert not list(edit.host.base.rglob("escaped*"))
