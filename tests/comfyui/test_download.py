"""The menu entry that downloads the released adapter, without a download: nothing else touches the network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edits import GOLDEN, Edit
from released import ADDRESS, ENTRY

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host
from tests.local_hub import FILE

CASE = GOLDEN / "one_head"


class NetworkWatch:
    """Notes every use of the network by this process."""

    EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")

    def __init__(self) -> None:
        self.calls: list[str] = []
        sys.addaudithook(self._note)  # for good: such a hook cannot be taken away

    def _note(self, event: str, _: tuple[Any, ...]) -> None:
        if event in self.EVENTS:
            self.calls.append(event)


@pytest.fixture(scope="module")
def watch() -> NetworkWatch:
    return NetworkWatch()


@pytest.fixture
def network_calls(watch: NetworkWatch) -> list[str]:
    watch.calls.clear()
    return watch.calls


@pytest.fixture
def adapters(host: Host) -> Iterator[Path]:
    """The folder of adapters, from which the released file is taken away afterwards."""
    folder = host.model_folder("relation_adapter")
    yield folder
    for path in folder.glob(f"*{FILE}*"):
        path.unlink()
    host.forget_file_lists()


def entry(edit: Edit) -> Node:
    """The loader with the entry chosen."""
    return edit.graph.add("LoadRelationAdapter", adapter_name=ENTRY, vision_name="one_head/model.safetensors")


def test_only_the_entry_touches_the_network(
    host: Host, adapters: Path, network_calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = host.node_classes["LoadRelationAdapter"]
    for name in ("LoadRelationAdapter", "RelationExemplarEncode", "ApplyRelationAdapter"):
        host.node_classes[name].GET_NODE_INFO_V1()
    assert node.INPUT_TYPES()["required"]["adapter_name"]
    names = {"adapter_name": ENTRY, "vision_name": "one_head/model.safetensors"}
    assert node.validate_inputs(**names) is True
    assert node.fingerprint_inputs(**names) != node.fingerprint_inputs(**names)
    with pytest.raises(GraphError, match=r"There is no file 'gone\.bin'"):
        edit = Edit(host)
        gone = edit.graph.add("LoadRelationAdapter", **{**names, "adapter_name": "gone.bin"})
        edit.run(edit.relation(relation_adapter=gone))
    edit = Edit(host)
    expected = edit.run(edit.relation()).keys_values.keys
    shutil.copy(CASE / "ip_adapter.bin", adapters / FILE)
    edit = Edit(host)
    assert torch.equal(edit.run(edit.relation(relation_adapter=entry(edit))).keys_values.keys, expected)
    assert network_calls == []
    (adapters / FILE).unlink()
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"  # nothing listens there
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    edit = Edit(host)
    with pytest.raises(GraphError, match=r"DownloadError: http://127\.0\.0\.1:9/"):
        edit.run(entry(edit))
    assert "socket.connect" in network_calls  # so the watch sees


def test_a_wrong_file_under_the_released_name_is_not_replaced(
    host: Host, adapters: Path, network_calls: list[str]
) -> None:
    (adapters / FILE).write_bytes(b"<html>Please log in</html>")
    edit = Edit(host)
    with pytest.raises(GraphError) as caught:
        edit.run(entry(edit))
    assert f"{adapters / FILE} is not a complete weights file" in str(caught.value)
    assert f"Remove it and run again to download it from {ADDRESS}." in str(caught.value)
    assert network_calls == [] and (adapters / FILE).read_bytes() == b"<html>Please log in</html>"


def test_a_damaged_file_and_a_missing_one_say_where_the_right_one_is(host: Host, adapters: Path) -> None:
    names = {"adapter_name": FILE, "vision_name": "one_head/model.safetensors"}
    edit = Edit(host)
    with pytest.raises(GraphError) as caught:
        edit.run(edit.graph.add("LoadRelationAdapter", **names))
    message = str(caught.value)
    assert f"There is no file '{FILE}' in {adapters}" in message and f"Download it from {ADDRESS}" in message
    assert f"Or choose '{ENTRY}' here" in message
    (adapters / FILE).write_bytes((CASE / "ip_adapter.bin").read_bytes()[:-100])
    with pytest.raises(GraphError) as caught:
        edit.run(edit.graph.add("LoadRelationAdapter", **names))
    assert str(adapters / FILE) in str(caught.value) and f"It is published at {ADDRESS}." in str(caught.value)


def test_the_released_file_is_used_from_any_folder_of_adapters(
    host: Host, adapters: Path, tmp_path: Path, network_calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths

    folders, suffixes = folder_paths.folder_names_and_paths["relation_adapter"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "relation_adapter", ([*folders, str(tmp_path)], suffixes))
    shutil.copy(CASE / "ip_adapter.bin", tmp_path / FILE)
    edit = Edit(host)
    adapter = edit.run(entry(edit))
    assert network_calls == []
    assert adapter.adapter.path == tmp_path / FILE
    assert not (adapters / FILE).exists()
