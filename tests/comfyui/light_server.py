"""Shipped workflows in a real ComfyUI server, made light: CLIP-L alone for the prompt, small pictures, few steps."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from comfyui_host.find import PACK, find_comfyui
from comfyui_host.server import ComfyServer, Message, Outcome, Prompt
from scripts.small_models import CLIP_L_WIDTH, SmallSizes, write_models
from scripts.workflow_to_api import workflow_to_api

WORKFLOW = PACK / "workflows" / "relation_transfer.json"
PICTURES = {"Before": "cat_before.jpg", "After": "cat_after.jpg", "Source": "coffee.jpg"}

LIGHT = SmallSizes(text_dim=CLIP_L_WIDTH, tokens=1024)
LONG_SIDE, STEPS = 128, 4
RELATION_BYTES = 4 * 2 * (2 * LIGHT.tokens) * 128 * 2 * 4
"""Keys and values of one exemplar pair: 4 blocks, 2 heads, before and after, width 128, keys and values, float32."""

SUSPICIOUS = re.compile(
    r"\bWARN(ING)?\b|\bERROR\b|\bCRITICAL\b|IMPORT FAILED|Traceback|Exception|Warning:", re.IGNORECASE
)
WITHOUT_OPENGL = re.compile(
    r"(\[WARNING\] )?Traceback \(most recent call last\):\n(  .*\n)+RuntimeError: OpenGL dependencies not available\.$"
    r"|^.*Cannot import \S*/nodes_glsl\.py module for custom nodes: OpenGL dependencies not available\.$"
    r"|^.*WARNING: some comfy_extras/ nodes did not import correctly\..*$"
    r"|^.*IMPORT FAILED: nodes_glsl\.py$"
    r"|^\[WARNING\] (Please do a: pip install -r requirements\.txt)?$",
    re.MULTILINE,
)
"""What ComfyUI itself says at its start, before 0.29, on a machine without OpenGL."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def started(base: Path, sizes: SmallSizes, threads: int = 1, flags: Sequence[str] = ()) -> Iterator[ComfyServer]:
    """A server with small models of these sizes and the pictures to try."""
    comfyui = find_comfyui()
    assert comfyui is not None
    write_models(base / "models", sizes)
    (base / "input").mkdir()
    for name in PICTURES.values():
        shutil.copy(PACK / "pictures" / name, base / "input")
    with ComfyServer(comfyui, base, *flags, threads=threads) as server:
        yield server


def shipped_prompt(server: ComfyServer) -> Prompt:
    """The shipped workflow in API form, with the pictures to try in its Load Image nodes."""
    prompt = workflow_to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.get("object_info"))
    for title, name in PICTURES.items():
        prompt[titled(prompt, title)]["inputs"]["image"] = name
    return prompt


def light(prompt: Prompt) -> Prompt:
    """Change a shipped workflow for the models of ``LIGHT``: no T5-XXL, pictures of 128 pixels and at most 4 steps."""
    for key, node in list(prompt.items()):
        inputs = node["inputs"]
        if node["class_type"] == "DualCLIPLoader":
            node["class_type"] = "CLIPLoader"
            node["inputs"] = {"clip_name": inputs["clip_name1"], "type": "stable_diffusion", "device": "default"}
        elif node["class_type"] == "RelationSourceEncode":
            inputs["long_side"] = min(inputs["long_side"], LONG_SIDE)
        elif node["class_type"] == "RelationScheduler":
            inputs["steps"] = min(inputs["steps"], STEPS)
        elif node["class_type"] == "TuneRelation":
            inputs["long_side"] = min(inputs["long_side"], LONG_SIDE)
        elif node["class_type"] == "Canny":  # it follows edges from pixel to pixel: 10 seconds at 512 x 512
            size = {"upscale_method": "area", "width": LONG_SIDE, "height": LONG_SIDE, "crop": "disabled"}
            prompt[f"{key} small"] = {"class_type": "ImageScale", "inputs": {"image": inputs["image"], **size}}
            inputs["image"] = [f"{key} small", 0]
    return learning_little(prompt)


def learning_little(prompt: Prompt) -> Prompt:
    """Leave Tune Relation few steps of few samples."""
    for node in prompt.values():
        if node["class_type"] == "TuneRelation":
            node["inputs"].update(steps=STEPS, batch_size=2)
    return prompt


def light_prompt(server: ComfyServer) -> Prompt:
    """The shipped workflow for relation transfer, made light."""
    return light(shipped_prompt(server))


def titled(prompt: Prompt, title: str) -> str:
    """Id of the node with this title."""
    return next(key for key, node in prompt.items() if node.get("_meta", {}).get("title") == title)


def of_class(prompt: Prompt, class_type: str) -> str:
    """Id of the only node of this class."""
    (key,) = (key for key, node in prompt.items() if node["class_type"] == class_type)
    return key


def changed(prompt: Prompt, class_type: str, **inputs: object) -> Prompt:
    """Set inputs of the only node of this class."""
    prompt[of_class(prompt, class_type)]["inputs"].update(inputs)
    return prompt


def without_relation(prompt: Prompt) -> Prompt:
    """The same graph with ApplyRelationAdapter taken out."""
    prompt = copy.deepcopy(prompt)
    apply = of_class(prompt, "ApplyRelationAdapter")
    changed(prompt, "BasicGuider", model=prompt.pop(apply)["inputs"]["model"])
    return prompt


class Run:
    """A prompt executed to its end, and what the server said meanwhile."""

    def __init__(self, server: ComfyServer, prompt: Prompt, interrupt_at: tuple[str, int] | None = None) -> None:
        """Execute a prompt; interrupt it when the named node reports this much progress."""
        self.prompt = prompt
        self.executed: list[str] = []
        """Classes of the nodes that ran, and were not cached."""
        self._server = server
        self._interrupt_at = interrupt_at
        self.outcome: Outcome = server.run(prompt, self._watch)

    def _watch(self, message: Message) -> None:
        node = message.data.get("node")
        if message.kind == "executing" and node:
            self.executed.append(self.prompt[node]["class_type"])
        if message.kind == "progress" and self._interrupt_at is not None:
            class_type, value = self._interrupt_at
            if self.prompt[node]["class_type"] == class_type and message.data["value"] >= value:
                self._interrupt_at = None
                self._server.interrupt()

    def picture(self) -> np.ndarray:
        """The result, (height, width, 3)."""
        assert self.outcome.status == "success", self.outcome
        return np.array(Image.open(self.outcome.pictures[of_class(self.prompt, "SaveImage")][0]))


def complaints(server: ComfyServer, start: int = 0) -> list[str]:
    """Lines of the server's log from ``start`` on that tell of a warning or an error, but for the above."""
    log = WITHOUT_OPENGL.sub("", COLOUR.sub("", server.log()[start:]))
    return [line for line in log.splitlines() if SUSPICIOUS.search(line)]


@contextmanager
def without_complaints(server: ComfyServer) -> Iterator[ComfyServer]:
    """Fail where the server logs a warning or an error meanwhile."""
    start = len(server.log())
    yield server
    assert complaints(server, start) == []
