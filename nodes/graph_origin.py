"""Find where a node's input comes from in the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

MODEL_NAMES = ("unet_name", "ckpt_name", "model_name", "model_path")
"""Names of the loaders' inputs for a base model's file."""
TEXT_NAMES = ("text", "t5xxl", "clip_l", "prompt")
"""Names of the encoders' inputs for a prompt."""


def upstream_text(prompt: Mapping[str, Any] | None, node: str | None, start: str, names: Iterable[str]) -> str:
    """Find the nearest text under some input names, upstream of a node's input; empty if there is none.

    Args:
        prompt: the graph in API form; None if the host gives none.
        node: the node's id in it.
        start: the input's name.
        names: inputs to look for, the best first.
    """
    wanted, seen = tuple(names), set[str]()
    waiting = deque(_links(prompt or {}, node, (start,)))
    while waiting:
        place = waiting.popleft()
        if place in seen:
            continue
        seen.add(place)
        inputs = _inputs(prompt or {}, place)
        for name in wanted:
            if isinstance(inputs.get(name), str) and inputs[name]:
                return inputs[name]
        waiting.extend(_links(prompt or {}, place, inputs))
    return ""


def _inputs(prompt: Mapping[str, Any], node: str | None) -> Mapping[str, Any]:
    return prompt.get(str(node), {}).get("inputs", {})


def _links(prompt: Mapping[str, Any], node: str | None, names: Iterable[str]) -> list[str]:
    values = (_inputs(prompt, node).get(name) for name in names)
    return [str(value[0]) for value in values if isinstance(value, list) and len(value) == 2]
