"""A ComfyUI with the pack and no models: the small model makes edits, and the menu entry downloads the adapter."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from edits import GOLDEN
from light_server import Run, complaints, of_class, titled
from PIL import Image
from released import ADDRESS, ENTRY
from safetensors.torch import load_file
from shipped import prompt_of

from comfyui_host.find import find_comfyui
from comfyui_host.server import ComfyServer, Message, Outcome, Prompt
from relation_core.adapter.config import RelationConfig
from relation_core.pictures.picture_file import read_picture
from relation_core.scenes.named_edits import EDITS, UNSEEN
from relation_tools.training.landscape_questions import example_candidates
from tests.core.random_weights import random_weights, write_bin
from tests.local_hub import FILE, Faults, LocalHub

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
def bare(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server without any model but those of the pack, whose HF_ENDPOINT is the played hub."""
    comfyui = find_comfyui()
    assert comfyui is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        server = ComfyServer(comfyui, tmp_path_factory.mktemp("bare"), threads=1)
    with server:
        assert not (server.base / "models").exists()
        yield server


@pytest.fixture
def server(bare: ComfyServer, hub: LocalHub) -> ComfyServer:
    """The same, with a vision model and two pictures, and without what earlier tests made."""
    shutil.copytree(CASE / "vision", bare.base / "models" / "clip_vision", dirs_exist_ok=True)
    for name in ("before.png", "after.png"):
        shutil.copy(CASE / name, bare.base / "input")
    for path in folder_of(bare).glob("*"):
        path.unlink()
    shutil.rmtree(bare.base / "output" / "relations", ignore_errors=True)
    hub.forget()
    return bare


def is_right(enlarged: Image.Image, name: str, number: int) -> bool:
    """Whether a result, three times as large, to be looked at, is nearest to its target."""
    assert enlarged.size == (384, 384)
    return example_candidates(name, number).is_right_picture(enlarged.reduce(3))


def check_edits(server: ComfyServer, names: Sequence[str]) -> list[str]:
    """Run the workflow with each edit; return those whose result is nearer to something else."""
    prompt = prompt_of(server, "try_it_small")
    example = prompt[of_class(prompt, "RelationExample")]["inputs"]
    wrong: list[str] = []
    for number, name in enumerate(names):
        example.update(edit=name, exemplar_scene=2000 + number, source_scene=3000 + number)
        run = Run(server, prompt)
        assert run.outcome.status == "success", run.outcome
        picture = read_picture(run.outcome.pictures[titled(prompt, "Result")][0])
        if not is_right(picture, name, 3000 + number):
            wrong.append(name)
    assert complaints(server) == []
    return wrong


def test_the_workflow_makes_the_edit_that_it_is_shown(bare: ComfyServer) -> None:
    assert check_edits(bare, ("sky_green", "evening", "frame", "mirror", "grey")) == []


@pytest.mark.slow
def test_the_workflow_makes_every_edit_that_it_is_shown(bare: ComfyServer) -> None:
    names = [name for name in EDITS if not name.endswith(UNSEEN)]
    wrong = check_edits(bare, names)
    assert len(wrong) <= len(names) // 4, wrong


@pytest.mark.slow
def test_the_workflow_learns_an_edit_that_the_model_never_saw(bare: ComfyServer) -> None:
    """As it is; then on other scenes, with what was learned."""
    prompt = prompt_of(bare, "try_it_small_tune")
    pairs, scene = (prompt[titled(prompt, title)]["inputs"] for title in ("Pairs to learn from", "A new landscape"))
    assert pairs["edit"] == scene["edit"] and pairs["edit"].endswith(UNSEEN)
    for number in range(4):
        scene["source_scene"] += number
        run = Run(bare, prompt)
        assert run.outcome.status == "success", run.outcome
        assert ("TuneRelation" in run.executed) == (number == 0)
        picture = read_picture(run.outcome.pictures[titled(prompt, "Result")][0])
        assert is_right(picture, scene["edit"], scene["source_scene"])
    assert complaints(bare) == []


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
