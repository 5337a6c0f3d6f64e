"""Files among the models: which are listed, and that a replaced one is noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from edits import GOLDEN, Edit
from safetensors.torch import load_file, save_file

from comfyui_host.host import GraphError, Host

LISTED = ("a.bin", "b.safetensors", "c.pt", "d.sft", "e.ckpt", "f.pth", "within/g.BIN")
UNLISTED = ("readme.md", "config.json", "notes.txt", "picture.png", "LICENSE", "a.bin.part", "model.gguf", ".hidden")


@pytest.fixture
def folder(host: Host) -> Iterator[Path]:
    """A copy of the golden adapter and vision model that a test may change."""
    adapters, visions = (host.model_folder(kind) / "changing" for kind in ("relation_adapter", "clip_vision"))
    adapters.mkdir()
    shutil.copy(GOLDEN / "one_head" / "ip_adapter.bin", adapters / "ip_adapter.bin")
    shutil.copytree(GOLDEN / "one_head" / "vision", visions)
    for path in (adapters / "ip_adapter.bin", *visions.iterdir()):
        path.chmod(0o644)
    host.forget_file_lists()
    yield host.base / "models"
    shutil.rmtree(adapters)
    shutil.rmtree(visions)
    host.forget_file_lists()


def encoded(host: Host) -> torch.Tensor:
    edit = Edit(host)
    adapter = edit.graph.add(
        "LoadRelationAdapter", adapter_name="changing/ip_adapter.bin", vision_name="changing/model.safetensors"
    )
    return edit.run(edit.relation(relation_adapter=adapter)).keys_values.keys


def test_only_weights_are_listed(host: Host) -> None:
    folder = host.model_folder("relation_adapter") / "listed"
    for name in (*LISTED, *UNLISTED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    host.forget_file_lists()
    try:
        info = host.node_classes["LoadRelationAdapter"].INPUT_TYPES()["required"]["adapter_name"]
        options = info[1]["options"] if isinstance(info[0], str) else info[0]
    finally:
        shutil.rmtree(folder)
        host.forget_file_lists()
    found = {Path(name).relative_to("listed").as_posix() for name in options if Path(name).parts[0] == "listed"}
    assert found == set(LISTED)


def test_a_replaced_adapter_is_noticed(host: Host, folder: Path) -> None:
    first = encoded(host)
    assert torch.equal(encoded(host), first)
    path = folder / "relation_adapter" / "changing" / "ip_adapter.bin"
    content = torch.load(path)
    for tensor in content["ip_adapter"].values():
        tensor.copy_(tensor.flip(0))
    torch.save(content, path)  # of the same length
    second = encoded(host)
    assert not torch.equal(second, first)
    shutil.copy(GOLDEN / "one_head" / "ip_adapter.bin", path)
    assert torch.equal(encoded(host), first)


def test_a_replaced_vision_model_is_noticed(host: Host, folder: Path) -> None:
    first = encoded(host)
    path = folder / "clip_vision" / "changing" / "model.safetensors"
    weights = load_file(path)
    weights["vision_model.head.probe"] = -weights["vision_model.head.probe"]
    save_file(weights, path)
    assert not torch.equal(encoded(host), first)
    shutil.copy(GOLDEN / "one_head" / "vision" / "model.safetensors", path)
    assert torch.equal(encoded(host), first)


def test_a_replaced_configuration_of_the_vision_model_is_noticed(host: Host, folder: Path) -> None:
    """Its number of heads changes no shape of any tensor."""
    first = encoded(host)
    path = folder / "clip_vision" / "changing" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_attention_heads": 2 * config["num_attention_heads"]}))
    assert not torch.equal(encoded(host), first)


def test_a_touched_file_gives_the_same(host: Host, folder: Path) -> None:
    first = encoded(host)
    os.utime(folder / "relation_adapter" / "changing" / "ip_adapter.bin")
    assert torch.equal(encoded(host), first)


def test_names_may_come_from_other_nodes(host: Host) -> None:
    edit = Edit(host)
    names = [edit.value(f"one_head/{name}") for name in ("ip_adapter.bin", "model.safetensors")]
    adapter = edit.graph.add("LoadRelationAdapter", adapter_name=names[0], vision_name=names[1])
    found, expected = edit.run(edit.relation(relation_adapter=adapter), edit.relation())
    assert torch.equal(found.keys_values.keys, expected.keys_values.keys)
    saving = Edit(host)
    saving.graph.add("SaveRelation", relation=saving.relation(), filename_prefix="named")
    host.execute(saving.graph)
    loaded = edit.graph.add(
        "LoadRelation", relation_adapter=adapter, relation_name=edit.value("named_00001_.safetensors")
    )
    assert torch.equal(edit.run(loaded).keys_values.keys, expected.keys_values.keys)


def test_a_wrong_name_from_another_node_is_named(host: Host) -> None:
    edit = Edit(host)
    name = edit.value("gone.bin")
    node = edit.graph.add("LoadRelationAdapter", adapter_name=name, vision_name="one_head/model.safetensors")
    with pytest.raises(GraphError, match=r"CheckpointError: There is no file 'gone\.bin' in .*relation_adapter"):
        edit.run(node)
