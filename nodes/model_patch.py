"""The relation inside ComfyUI's Flux. This file alone knows ``transformer_options``.

One Apply node makes one :class:`RelationPatch`, and that registers five hooks on a clone of the model:

========================  ============================================================================
sampler wrapper           once a run: which conditioning is negative, which reference latents are sources
model wrapper             once a forward: which rows the relation acts on, and whether at this noise level
``post_input`` patch      once a forward: source tokens get the target's position ids
``attn1_patch``           every block: relation attention of the block's query
``attn1_output_patch``    every block: the result is added to the block's attention
========================  ============================================================================

What one of them finds out for another travels in ``transformer_options`` under a key of the patch's own.
Axes: B rows of the batch, L tokens, H heads, T exemplar tokens, d head width.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_base
import comfy.patcher_extension
import torch
import torch.nn.functional as F
from comfy.patcher_extension import WrappersMP

from ..relation_core.attention import relation_attention
from ..relation_core.config import FLOAT_DTYPES
from ..relation_core.errors import ModelMismatchError
from ..relation_core.keys_values import KeysValues
from ..relation_core.positions import source_positions
from ..relation_core.relation import Relation
from .host_attention import host_attention

SOURCES = "relation_sources"
"""Conditioning key: places in ``reference_latents`` that hold a source of ours."""


def with_source(conditioning: list[Any], latent: torch.Tensor) -> list[Any]:
    """Add a source latent to every entry of a conditioning, marked as ours among other reference latents."""
    marked = []
    for embedding, values in conditioning:
        references = [*values.get("reference_latents", ()), latent]
        sources = (*values.get(SOURCES, ()), len(references) - 1)
        marked.append([embedding, {**values, "reference_latents": references, SOURCES: sources}])
    return marked


def check_model(model: Any, relation: Relation) -> None:
    """Refuse a model that the relation was not made for.

    Raises:
        ModelMismatchError: it is not a FLUX.1, or its blocks, heads or widths differ from the adapter's.
    """
    sizes = model.model.model_config.unet_config
    name = type(model.model).__name__
    if type(model.model) is not comfy.model_base.Flux:  # its subclasses are other families: FLUX.2, Chroma, LongCat
        raise ModelMismatchError(
            f"The model is a {name}; RelationAdapter works on FLUX.1 only (FLUX.1-dev, or a fine-tune of it). Load one "
            "with Load Diffusion Model."
        )
    config = relation.config
    found = {
        "attention blocks": sizes["depth"] + sizes["depth_single_blocks"],
        "heads": sizes["num_heads"],
        "hidden size": sizes["hidden_size"],
        "text width": sizes["context_in_dim"],
    }
    expected = {
        "attention blocks": config.blocks,
        "heads": config.heads,
        "hidden size": config.hidden_size,
        "text width": config.text_dim,
    }
    wrong = [f"{found[what]} {what} for {expected[what]}" for what in found if found[what] != expected[what]]
    if wrong:
        raise ModelMismatchError(
            f"The model ({name}) does not fit the adapter that the relation was made with: it has {', '.join(wrong)}. "
            "Use the kind of Flux that the adapter was trained on; the released adapter is for FLUX.1-dev."
        )


@dataclass
class _Run:
    """One sampling run, found out by the sampler wrapper."""

    negative: frozenset[uuid.UUID]
    """Ids of the entries of negative conditioning."""
    sources: dict[uuid.UUID, tuple[int, ...]]
    """Places of our sources among the reference latents, by id of the conditioning's entry."""
    reached: bool = False
    """Whether the model called the hooks."""


@dataclass
class _Forward:
    """One call of the model, found out by the model wrapper."""

    positive: list[slice]
    """Rows of the batch with positive conditioning."""
    active: bool
    """Whether the relation acts at this noise level."""
    target_grid: tuple[int, int]
    sources: list[tuple[slice, list[tuple[slice, tuple[int, int]]]]]
    """Rows, and for them the tokens and the grid of every source, counted from the first image token."""
    mask: torch.Tensor | None
    """(B or 1, image tokens, 1): share of the relation that every image token takes."""
    reached: bool = False


class RelationPatch:
    """A relation ready to be put on models. It is immutable.

    Args:
        relation: without pairs of weight 0.
        strengths: of double-stream and of single-stream blocks.
        percents: share of sampling at which the relation begins and stops to act.
        mask: (masks, height, width) in [0, 1] over the target, or None.
    """

    def __init__(
        self,
        relation: Relation,
        strengths: tuple[float, float],
        percents: tuple[float, float],
        mask: torch.Tensor | None,
    ) -> None:
        self._relation = relation
        self._strengths = {"double": strengths[0], "single": strengths[1]}
        self._percents = percents
        self._mask = mask
        self._key = f"relation_adapter.{uuid.uuid4().hex}"

    def register(self, model: Any) -> None:
        """Put the hooks on a model (a ``ModelPatcher``, already cloned)."""
        run, forward = f"{self._key}.run", f"{self._key}.forward"
        options = model.model_options
        first_single = model.model.model_config.unet_config["depth"]
        keys_values = self._relation.keys_values.to("cpu", _compute_dtype(model))
        comfy.patcher_extension.add_wrapper_with_key(
            WrappersMP.SAMPLER_SAMPLE, self._key, _SamplerWrapper(run), options, is_model_options=True
        )
        comfy.patcher_extension.add_wrapper_with_key(
            WrappersMP.APPLY_MODEL,
            self._key,
            _ModelWrapper(run, forward, self._percents, self._mask),
            options,
            is_model_options=True,
        )
        model.set_model_post_input_patch(_PositionsPatch(forward))
        model.set_model_attn1_patch(
            _AttentionPatch(
                forward, keys_values, keys_values, self._relation.token_bias(), self._strengths, first_single
            )
        )
        model.set_model_attn1_output_patch(_OutputPatch(forward, self._strengths))


@dataclass(frozen=True)
class _SamplerWrapper:
    """Reads the conditioning before it is taken apart into batches."""

    run: str

    def __call__(self, executor: Callable[..., Any], guider: Any, sigmas: Any, extra_args: Any, *args: Any) -> Any:
        negative, sources = set(), {}
        for name, entries in guider.conds.items():
            for entry in entries or ():
                if "negative" in name:
                    negative.add(entry["uuid"])
                if SOURCES in entry:
                    sources[entry["uuid"]] = entry[SOURCES]
        options = extra_args["model_options"]["transformer_options"]
        options[self.run] = _Run(frozenset(negative), sources)
        return executor(guider, sigmas, extra_args, *args)


@dataclass(frozen=True)
class _ModelWrapper:
    """Decides, once a forward, what the patches in the blocks do."""

    run: str
    forward: str
    percents: tuple[float, float]
    mask: torch.Tensor | None

    def __call__(
        self,
        executor: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        if c_concat is not None and kwargs.get("ref_latents"):
            raise ModelMismatchError(_NO_ROOM)
        options = dict(transformer_options or {})
        run: _Run | None = options.get(self.run)
        forward = options[self.forward] = self._plan(executor.class_obj, x, t, options, run, kwargs)
        result = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        if run is not None:
            run.reached |= forward.reached
            if not run.reached:
                raise ModelMismatchError(_unreached(executor.class_obj))
        return result

    def _plan(
        self,
        model: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        options: dict[str, Any],
        run: _Run | None,
        conditions: dict[str, Any],
    ) -> _Forward:
        chunks = options.get("cond_or_uncond", [0])
        ids = options.get("uuids", [None] * len(chunks))
        size = x.shape[0] // len(chunks)
        patch = model.model_config.unet_config["patch_size"]
        references = [_grid(latent, patch) for latent in conditions.get("ref_latents") or ()]
        target = _grid(x, patch)
        positive, sources = [], []
        for index, (chunk, entry) in enumerate(zip(chunks, ids, strict=True)):
            if entry in run.negative if run is not None and entry is not None else chunk != 0:
                continue
            rows = slice(index * size, (index + 1) * size)
            positive.append(rows)
            marked = run.sources.get(entry, ()) if run is not None and run.sources else None
            sources.append((rows, _source_tokens(target, references, marked)))
        return _Forward(
            positive=_merged(positive),
            active=self._acts_at(model, t),
            target_grid=target,
            sources=sources,
            mask=None if self.mask is None else _token_mask(self.mask, [target, *references], x, size, len(chunks)),
        )

    def _acts_at(self, model: Any, t: torch.Tensor) -> bool:
        if self.percents == (0.0, 1.0):
            return True
        start, end = (float(model.model_sampling.percent_to_sigma(percent)) for percent in self.percents)
        return end < float(t[0]) <= start


@dataclass(frozen=True)
class _PositionsPatch:
    """Gives source tokens the position ids of the target."""

    forward: str

    def __call__(self, args: dict[str, Any]) -> dict[str, Any]:
        forward: _Forward = args["transformer_options"][self.forward]
        ids = args["img_ids"].clone()  # (B, image tokens, axes)
        rows, columns = forward.target_grid
        for batch, sources in forward.sources:
            target = ids[batch, : rows * columns]
            for tokens, grid in sources:
                ids[batch, tokens] = source_positions(target, forward.target_grid, grid)
        return {**args, "img_ids": ids}


@dataclass(frozen=True)
class _AttentionPatch:
    """Lets a block's query look at the exemplars."""

    forward: str
    home: KeysValues
    """As the relation has them, shared with it."""
    resident: KeysValues
    """Where the model is."""
    bias: torch.Tensor | None
    strengths: dict[str, float]
    first_single: int

    def to(self, target: torch.device | torch.dtype) -> _AttentionPatch:
        """Follow the model to a device. A dtype is the one the weights are stored in, which says nothing here."""
        if isinstance(target, torch.dtype):
            return self
        bias = None if self.bias is None else self.bias.to(target)
        return replace(self, resident=self.home.to(target), bias=bias)

    def __call__(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        pe: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
        extra_options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        assert extra_options is not None  # noqa: S101 - always passed by Flux; named so that the host can pass it
        forward: _Forward = extra_options[self.forward]
        forward.reached = True
        kind = extra_options["block_type"]
        if not (forward.active and forward.positive and self.strengths[kind]):
            return {}
        index = extra_options["block_index"] + (self.first_single if kind == "single" else 0)
        keys, values = self.resident.keys[index].to(q.dtype), self.resident.values[index].to(q.dtype)
        first = extra_options["img_slice"][0] if kind == "double" else 0
        extra_options[_result(self.forward)] = [
            relation_attention(q[rows, :, first:], keys, values, host_attention, self.bias) for rows in forward.positive
        ]
        return {}


@dataclass(frozen=True)
class _OutputPatch:
    """Adds what the exemplars said to the block's attention."""

    forward: str
    strengths: dict[str, float]

    def __call__(self, attn: torch.Tensor, extra_options: dict[str, Any]) -> torch.Tensor:
        results = extra_options.pop(_result(self.forward), None)
        if results is None:
            return attn
        forward: _Forward = extra_options[self.forward]
        kind, text = extra_options["block_type"], extra_options["img_slice"][0]
        first = text if kind == "double" else 0
        for rows, result in zip(forward.positive, results, strict=True):  # (B, L, H * d)
            if forward.mask is not None:
                result[:, text - first :] *= forward.mask[rows] if forward.mask.shape[0] > 1 else forward.mask
            attn[rows, first:].add_(result, alpha=self.strengths[kind])
        return attn


def _compute_dtype(model: Any) -> torch.dtype | None:
    """What the model computes in; None where that is no plain float."""
    dtype = model.get_model_object("manual_cast_dtype") or model.model.get_dtype()
    return dtype if dtype in FLOAT_DTYPES else None


def _result(forward: str) -> str:
    return f"{forward}.result"


def _grid(latent: torch.Tensor, patch: int) -> tuple[int, int]:
    rows, columns = (-(-side // patch) for side in latent.shape[-2:])
    return rows, columns


def _source_tokens(
    target: tuple[int, int], references: list[tuple[int, int]], marked: tuple[int, ...] | None
) -> list[tuple[slice, tuple[int, int]]]:
    """Find the tokens of our sources among the references; if none is marked, every reference is a source."""
    sources, start = [], target[0] * target[1]
    for place, grid in enumerate(references):
        end = start + grid[0] * grid[1]
        if marked is None or place in marked:
            sources.append((slice(start, end), grid))
        start = end
    return sources


def _merged(rows: list[slice]) -> list[slice]:
    merged: list[slice] = []
    for part in rows:
        start = merged.pop().start if merged and merged[-1].stop == part.start else part.start
        merged.append(slice(start, part.stop))
    return merged


def _token_mask(
    mask: torch.Tensor, grids: list[tuple[int, int]], x: torch.Tensor, size: int, chunks: int
) -> torch.Tensor:
    """Average a mask over every token of the target and of each reference: (1 or B, image tokens, 1)."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(x.device, x.dtype).clamp(0, 1)
    tokens = torch.cat([F.adaptive_avg_pool2d(mask, grid).flatten(1) for grid in grids], dim=1).unsqueeze(-1)
    if tokens.shape[0] == 1:
        return tokens
    repeats = -(-size // tokens.shape[0])
    return tokens.repeat(repeats, 1, 1)[:size].repeat(chunks, 1, 1)


_NO_ROOM = (
    "This Flux takes further channels beside the latent (FLUX.1-Fill, -Canny and -Depth and their LoRAs do), and "
    "ComfyUI gives a source picture none of them. Use FLUX.1-dev, or leave Encode Relation Source out."
)


def _unreached(model: Any) -> str:
    return (
        f"This model ({type(model.diffusion_model).__module__}.{type(model.diffusion_model).__name__}) does not call "
        "ComfyUI's attention patches, so the relation cannot act on it. Nunchaku's Flux and some compiled or replaced "
        "blocks are like that. Load FLUX.1 with Load Diffusion Model, or a GGUF of it, and remove nodes that replace "
        "its blocks."
    )
