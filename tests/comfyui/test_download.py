"""The menu entry that downloads the released adapter, in a real ComfyUI, from a server that plays the hub."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edits import GOLDEN, Edit
from safetensors.torch import load_file

from comfyui_host.find import find_comfyui
from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host
from comfyui_host.server import ComfyServer, Message, Outcome, Prompt
from relation_core.adapter.config import RelationConfig
from tests.core.random_weights import random_weights, write_bin
from tests.local_hub import FILE, Faults, LocalHub

ENTRY = "download ip_adapter-100000.bin (5.3 GB)"
ADDRESS = "https://huggingface.co/handsomeWilliam/RelationAdapter"
CASE = GOLDEN / "one_head"
CONFIG = RelationConfig(blocks=3, heads=1, head_dim=128, tokens=4, text_dim=1024, vision_dim=32, projection_dim=20)
"""Some 3.5 MB, and fits the golden vision model."""
CHUNK = 1 << 18

PROMPT: Prompt = {
    "before": {"class_type": "LoadImage", "inputs": {"image": "before.png"}},
    "after": {"class_type": "LoadImage", "inputs": {"image": "after.png"}},
    "adapter": {
        "class_type": "LoadRelationAdapter",
        "inputs": {"adapter_name": ENTRY, "vision_name": "model.safetensors"},
    },
    "encode": {
        "class_type": "RelationExemplarEncode",
        "inputs": {
            "relation_adapter": ["adapter", 0],
            "before": ["before", 0],
            "after": ["after", 0],
            "fit": "pad",
            "weight": 1.0,
        },
    },
    "save": {"class_type": "SaveRelation", "inputs": {"relation": ["encode", 0], "filename_prefix": "relation"}},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    content = write_bin(tmp_path_factory.mktemp("adapter") / "adapter.bin", random_weights(CONFIG)).read_bytes()
    with LocalHub(content) as hub:
        yield hub


@pytest.fixture(scope="module")
def started(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A ComfyUI whose HF_ENDPOINT is the played hub, without a folder for adapters."""
    comfyui = find_comfyui()
    assert comfyui is not None
    base = tmp_path_factory.mktemp("server")
    shutil.copytree(CASE / "vision", base / "models" / "clip_vision")
    (base / "input").mkdir()
    for name in ("before.png", "after.png"):
        shutil.copy(CASE / name, base / "input")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        server = ComfyServer(comfyui, base, threads=1)
    with server:
        assert not (base / "models" / "relation_adapter").exists()
        yield server


@pytest.fixture
def server(started: ComfyServer, hub: LocalHub) -> ComfyServer:
    for path in folder_of(started).glob("*"):
        path.unlink()
    shutil.rmtree(started.base / "output" / "relations", ignore_errors=True)
    hub.forget()
    return started


def folder_of(server: ComfyServer) -> Path:
    return server.base / "models" / "relation_adapter"


def run(server: ComfyServer, prompt: Prompt = PROMPT, interrupt_at: int | None = None) -> tuple[Outcome, list[Message]]:
    """Execute a prompt; interrupt it as the page does once the loader has reported so many bytes."""
    seen: list[Message] = []
    interrupted = False

    def watch(message: Message) -> None:
        nonlocal interrupted
        seen.append(message)
        if message.kind == "progress" and message.data["node"] == "adapter" and not interrupted:
            interrupted = interrupt_at is not None and message.data["value"] >= interrupt_at
            if interrupted:
                server.interrupt()

    return server.run(prompt, watch), seen


def executed(messages: list[Message]) -> list[str]:
    return [message.data["node"] for message in messages if message.kind == "executing" and message.data["node"]]


def relations(server: ComfyServer) -> list[dict[str, torch.Tensor]]:
    return [load_file(path) for path in sorted((server.base / "output" / "relations").glob("*.safetensors"))]


def choices(server: ComfyServer) -> list[str]:
    kind, options = server.get("object_info/LoadRelationAdapter")["LoadRelationAdapter"]["input"]["required"][
        "adapter_name"
    ]
    return options["options"] if kind == "COMBO" else kind


def test_the_entry_ends_in_the_same_relation_as_the_file(server: ComfyServer, hub: LocalHub) -> None:
    assert choices(server) == [ENTRY]
    assert hub.requests == []
    hub.faults = Faults(seconds_a_piece=0.02)
    outcome, messages = run(server)
    assert outcome.status == "success", outcome
    assert hub.starts() == [0]
    assert (folder_of(server) / FILE).read_bytes() == hub.content
    told = [message.data for message in messages if message.kind == "progress" and message.data["node"] == "adapter"]
    values = [data["value"] for data in told]
    assert {data["max"] for data in told} == {len(hub.content)}
    assert values == sorted(values) and values[-1] == len(hub.content)
    assert len({value for value in values if value < len(hub.content)}) >= 3

    hub.forget()
    assert choices(server) == [FILE, ENTRY]
    outcome, messages = run(server)
    assert outcome.status == "success"
    outcome, messages = run(server)
    assert outcome.status == "success" and executed(messages) == []
    by_name = copy.deepcopy(PROMPT)
    by_name["adapter"]["inputs"]["adapter_name"] = FILE
    outcome, messages = run(server, by_name)
    assert outcome.status == "success" and "adapter" in executed(messages)
    assert hub.requests == []
    first, *others = relations(server)
    assert len(others) == 2 and len(first) > 0
    for other in others:
        assert other.keys() == first.keys()
        assert all(torch.equal(other[name], first[name]) for name in first)


def test_an_interrupted_download_goes_on_in_the_next_run(server: ComfyServer, hub: LocalHub) -> None:
    hub.faults = Faults(seconds_a_piece=0.05)
    outcome, messages = run(server, interrupt_at=2 * CHUNK)
    assert outcome.status == "interrupted" and outcome.node == "adapter"
    assert executed(messages)[-1] == "adapter"
    assert not (folder_of(server) / FILE).exists()
    (part,) = folder_of(server).glob("*.part")
    kept = part.stat().st_size
    assert 2 * CHUNK <= kept < len(hub.content)
    assert choices(server) == [ENTRY]
    hub.forget()
    outcome, _ = run(server)
    assert outcome.status == "success", outcome
    assert hub.starts() == [kept]
    assert (folder_of(server) / FILE).read_bytes() == hub.content
    assert {path.name for path in folder_of(server).iterdir()} == {FILE, f"{FILE}.json"}
    assert len(relations(server)) == 1


def test_a_file_that_was_removed_is_downloaded_again(server: ComfyServer, hub: LocalHub) -> None:
    """Though ComfyUI may remember what the same prompt gave before."""
    for _ in range(2):
        hub.forget()
        outcome, messages = run(server)
        assert outcome.status == "success" and "adapter" in executed(messages)
        assert hub.starts() == [0]
        (folder_of(server) / FILE).unlink()


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(hub_statuses=[404]), "404"),
        (Faults(sha256="0" * 64), "expected " + "0" * 64),
        (Faults(cuts=[0]), "check the connection"),
    ],
    ids=["not found", "wrong hash", "cut"],
)
def test_a_failure_is_shown_and_the_next_run_succeeds(
    server: ComfyServer, hub: LocalHub, faults: Faults, said: str
) -> None:
    hub.faults = faults
    outcome, _ = run(server)
    assert outcome.status == "error" and outcome.node == "adapter"
    assert "DownloadError" in outcome.error and said in outcome.error
    assert f"ownload {FILE} by hand from {ADDRESS} and put it in {folder_of(server)}." in outcome.error
    assert not (folder_of(server) / FILE).exists()
    hub.forget()
    outcome, _ = run(server)
    assert outcome.status == "success", outcome


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
