"""What reuse of the source must give, computed the slow way: every token stays, only old keys and values are put in."""

from __future__ import annotations

from typing import Any

import torch
from edits import Edit

from comfyui_host.graph import Node

Spans = tuple[tuple[int, int], ...]
TEXT = 12
"""Tokens of the golden prompt."""
PICTURE = 24
"""Image tokens of the golden picture."""


class _Oracle:
    def __init__(self, every: int, spans: Spans) -> None:
        self.every, self.spans = every, spans
        self.kept: dict[tuple[Any, ...], tuple[int, torch.Tensor, torch.Tensor]] = {}

    def __call__(
        self, q: Any, k: Any, v: Any, pe: Any = None, attn_mask: Any = None, *, extra_options: Any
    ) -> dict[str, Any]:
        from comfy.ldm.flux.math import apply_rope

        level, schedule = float(extra_options["sigmas"][0]), extra_options["sample_sigmas"].tolist()
        refreshes = max(3, -(-(len(schedule) - 1) // self.every))
        refreshed_at = torch.linspace(schedule[0], schedule[-2], refreshes).tolist()
        passed = sum(at >= level * (1 - 1e-5) for at in refreshed_at)
        q, k = apply_rope(q, k, pe)
        k, v = k.clone(), v.clone()
        text, entries = extra_options["img_slice"][0], extra_options["uuids"]
        size = k.shape[0] // len(entries)
        for index, entry in enumerate(entries):
            rows = slice(index * size, (index + 1) * size)
            for start, end in self.spans:
                tokens = slice(text + start, text + end)
                key = entry, extra_options["block_type"], extra_options["block_index"], start
                if key not in self.kept or self.kept[key][0] != passed:
                    self.kept[key] = passed, k[rows, :, tokens].clone(), v[rows, :, tokens].clone()
                _, k[rows, :, tokens], v[rows, :, tokens] = self.kept[key]
        return {"q": q, "k": k, "v": v, "pe": None, "attn_mask": attn_mask}


def expected(edit: Edit, model: Node, every: int, spans: Spans = ((PICTURE, 2 * PICTURE),)) -> Node:
    """The model with old keys and values of the image tokens in ``spans``. It is good for one run."""
    patched = edit.run(model).clone()
    patched.set_model_attn1_patch(_Oracle(every, spans))
    return edit.value(patched)


def reused(edit: Edit, model: Node, every: int = 4, **inputs: Any) -> Node:
    """The model behind our node."""
    return edit.graph.add("RelationSourceReuse", model=model, refresh_every=every, **inputs)


def counted(edit: Edit, model: Node) -> tuple[Node, list[int]]:
    """The model, and a list that will hold how many image tokens every call of it computes."""
    tokens: list[int] = []

    def count(attn: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        if (options["block_type"], options["block_index"]) == ("double", 0):
            tokens.append(attn.shape[1] - options["img_slice"][0])
        return attn

    watched = edit.run(model).clone()
    watched.set_model_attn1_output_patch(count)
    return edit.value(watched), tokens


def tokens_of(edit: Edit, model: Node, text: Any = None, **sampling: Any) -> list[int]:
    """How many image tokens every call of the model computes."""
    model, tokens = counted(edit, model)
    edit.run(edit.sample(model, text or edit.with_source(edit.text()), **sampling))
    return tokens
