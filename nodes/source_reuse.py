"""Source reuse inside ComfyUI's Flux (:mod:`relation_core.flux.source_reuse`).

==========================  ==========================================================================
sampling is prepared        the host hears how much memory the kept keys take
sampler wrapper             a run begins with nothing kept, and leaves nothing behind
noise prediction wrapper    the memory hears of the noise level
model wrapper               once a forward: hangs the two patches below behind all others
``post_input`` patch        where the source is reused, its tokens leave the image stream
``attn1_patch``             every block: the source's keys and values are kept, or put back
==========================  ==========================================================================

The patches come last, whatever the order of the nodes, so that others still see the query before rotary embedding.
Only the run's own options refer to what it keeps. Axes: B rows of the batch, H heads, L tokens, d head width.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from comfy.controlnet import ControlBase
from comfy.ldm.flux.math import apply_rope, apply_rope1
from comfy.patcher_extension import WrappersMP

from ..relation_core.errors import ModelMismatchError
from ..relation_core.flux.source_reuse import (
    KeptKeysValues,
    SourceKeysValues,
    SourceMemory,
    SourceTokens,
    kept_bytes,
    source_tokens,
)
from .capture import refuse_capture
from .crops import token_grid
from .held_context import holding
from .model_check import flux_sizes
from .source_conditioning import Prompts, own_entries, read_prompts

_KEY = "relation_adapter.source_reuse"


def reuse_source(model: Any, refresh_every: int, eight_bits: bool = False) -> None:
    """Let a model (a ``ModelPatcher``, already cloned) compute the source at one of n steps only.

    A second call replaces the first. At 1 nothing is patched.

    Args:
        model: the model.
        refresh_every: n.
        eight_bits: whether what is reused is kept in 8 bits.
    """
    wrappers = model.model_options["transformer_options"].setdefault("wrappers", {})
    for kind, wrapper in (
        (WrappersMP.PREPARE_SAMPLING, partial(_prepare_sampling, eight_bits)),
        (WrappersMP.SAMPLER_SAMPLE, _SamplerWrapper(refresh_every, eight_bits)),
        (WrappersMP.PREDICT_NOISE, _predict_noise),
        (WrappersMP.APPLY_MODEL, _apply_model),
    ):
        wrappers.setdefault(kind, {})[_KEY] = [wrapper] if refresh_every > 1 else []


def computed(tokens: torch.Tensor) -> torch.Tensor:
    """Select, from one value per image token (B, L, ...), those of the tokens that the running forward computes."""
    forward = _FORWARD.get()
    if forward is None or forward.source is None or forward.kept is None:
        return tokens
    return forward.source.without(tokens, 1)


def refresh_where_changed(value: Hashable) -> None:
    """Name what the source of the running forward depends on: it is reused only while that stays the same.

    ``post_input`` patches call this.
    """
    forward = _FORWARD.get()
    if forward is not None:
        forward.setting = forward.setting, value


@dataclass
class _Run:
    """One sampling run."""

    memory: SourceMemory
    prompts: Prompts
    reached: bool = False
    """Whether the model called our patches."""


@dataclass
class _Forward:
    """One call of the model."""

    run: _Run
    entries: tuple[Any, ...]
    """The conditioning entries that it computes."""
    setting: Hashable
    """Everything else that the source's keys depend on."""
    target: int
    """Tokens of the target."""
    source: SourceTokens | None = None
    """The source in the image stream; None if there is none to reuse."""
    kept: Mapping[Hashable, KeptKeysValues] | None = None
    """What is reused; None if everything is computed."""
    recorded: dict[Hashable, KeptKeysValues] = field(default_factory=dict)

    @property
    def call(self) -> Hashable:
        """Names this call among those of the run."""
        return self.entries, self.setting, self.source

    def sources(self, references: int) -> set[int]:
        """Return the places of the references that are a source in every entry."""
        marked = [set(self.run.prompts.sources_of(entry, references)) for entry in self.entries]
        return set.intersection(*marked)


@dataclass(frozen=True)
class _SamplerWrapper:
    """Gives a run its memory, and removes it afterwards."""

    refresh_every: int
    eight_bits: bool

    def __call__(self, executor: Callable[..., Any], guider: Any, sigmas: Any, extra_args: Any, *args: Any) -> Any:
        options = extra_args["model_options"]["transformer_options"]
        memory = SourceMemory(self.refresh_every, sigmas.tolist(), self.eight_bits)
        own_entries(guider.conds)
        options[_KEY] = _Run(memory, read_prompts(guider.conds))
        try:
            return executor(guider, sigmas, extra_args, *args)
        finally:
            memory.clear()
            del options[_KEY]


def _predict_noise(
    executor: Callable[..., Any], x: Any, timestep: torch.Tensor, model_options: dict[str, Any], seed: Any = None
) -> Any:
    """Tell the memory the noise level."""
    run: _Run | None = model_options.get("transformer_options", {}).get(_KEY)
    if run is not None:
        run.memory.evaluate(float(timestep.flatten()[0]))
    return executor(x, timestep, model_options, seed)


def _apply_model(
    executor: Any,
    x: torch.Tensor,
    t: torch.Tensor,
    c_concat: Any = None,
    c_crossattn: Any = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Run a forward with our patches after all others, and keep the source if all blocks computed it."""
    options = dict(transformer_options or {})
    run: _Run | None = options.pop(_KEY, None)
    if run is None or not kwargs.get("ref_latents"):
        return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
    patches = dict(options.get("patches", {}))
    for name, patch in (("post_input", _cut_source), ("attn1_patch", _attend_to_source)):
        patches[name] = [*patches.get(name, ()), patch]
    options["patches"] = patches
    places, params = options.get("cond_or_uncond", [0]), executor.class_obj.model_config.unet_config
    entries = tuple(options.get("uuids") or range(len(places)))
    setting = tuple(x.shape), x.device, _window(options), _hooks(executor.class_obj)
    forward = _Forward(run, entries, setting, prod(token_grid(x.shape, params["patch_size"])))
    with holding(_FORWARD, forward):
        result = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
    if not run.reached:
        raise _unreached(executor.class_obj)
    if len(forward.recorded) == params["depth"] + params["depth_single_blocks"]:
        run.memory.keep(forward.call, forward.entries, forward.recorded)
    return result


@torch.compiler.disable
def _cut_source(args: dict[str, Any]) -> dict[str, Any]:
    """Remove the source from the image stream if its keys and values are kept."""
    forward = _FORWARD.get()
    if forward is None:
        return args
    forward.run.reached = True
    img, ids, options = args["img"], args["img_ids"], args["transformer_options"]
    counts = options.get("reference_image_num_tokens", [])
    whole = forward.target + sum(counts)
    if ids is None or {ids.shape[1], img.shape[1]} != {whole}:  # another patch has already changed the stream
        return args
    ours = forward.sources(len(counts))
    forward.source = source_tokens(img.shape[1], counts, ours)
    if forward.source is None:
        return args
    forward.kept = forward.run.memory.recall(forward.call)
    if forward.kept is None:
        return args
    # The dictionary belongs to this forward, and later patches count the stream's references by it.
    options["reference_image_num_tokens"] = [count for place, count in enumerate(counts) if place not in ours]
    return {**args, "img": forward.source.without(img, 1), "img_ids": forward.source.without(ids, 1)}


@torch.compiler.disable
def _attend_to_source(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    pe: torch.Tensor | None = None,
    attn_mask: torch.Tensor | None = None,
    *,
    extra_options: dict[str, Any],
) -> dict[str, Any]:
    """Keep a block's keys and values (B, H, L, d) of the source, or put the kept ones back."""
    forward = _FORWARD.get()
    if forward is None or forward.source is None:
        return {}
    refuse_capture(q)
    tokens = forward.source.after(extra_options["img_slice"][0])
    block = extra_options["block_type"], extra_options["block_index"]
    if forward.kept is not None:
        _check_sizes(tokens, k, attn_mask)
        if pe is not None:
            q, k = apply_rope(q, k, pe)
        kept = forward.kept[block].whole()
        if attn_mask is not None and attn_mask.shape[-2] == tokens.total:
            attn_mask = tokens.without(attn_mask, attn_mask.ndim - 2)
        k, v = tokens.together(k, kept.keys, 2), tokens.together(v, kept.values, 2)
        return {"q": q, "k": k, "v": v, "pe": None, "attn_mask": attn_mask}
    if forward.run.memory.wants(forward.call) and k.shape[2] == tokens.total:
        keys = tokens.of(k, 2)
        if pe is not None:
            keys = apply_rope1(keys, tokens.of(pe, 2))
        forward.recorded[block] = forward.run.memory.held(SourceKeysValues(keys, tokens.of(v, 2)))
    return {}


def _check_sizes(tokens: SourceTokens, k: torch.Tensor, attn_mask: torch.Tensor | None) -> None:
    """Check that a block has the keys of all tokens but the source's, and a mask, if any, for all of them."""
    keys, columns = tokens.total - tokens.source, 1 if attn_mask is None else attn_mask.shape[-1]
    if k.shape[2] != keys or columns not in (1, tokens.total):
        raise ModelMismatchError(
            f"Where the source is reused, a block has {k.shape[2]} keys and a mask of {columns} columns; expected "
            f"{keys} keys, and no mask or one of {tokens.total} columns. Another node's attention patch adds keys at "
            "some steps only, or makes a mask of its own. Remove that node or Reuse Relation Source."
        )


def _window(options: Mapping[str, Any]) -> Hashable:
    """Which pictures of a batch, or frames, a call is about, where a context window chooses them."""
    window = options.get("context_window")
    if window is None:
        return None
    chosen = getattr(window, "index_list", None)
    return object() if chosen is None else (window.dim, *chosen)  # an unknown window is like no other


def _hooks(model: Any) -> Hashable:
    """The hooks that change the model's weights in this call, and how much."""
    hooks = getattr(getattr(model, "current_patcher", None), "current_hooks", None)
    return None if hooks is None else tuple((hook.hook_id, hook.strength) for hook in hooks.hooks)


class _KeptMemory(ControlBase):
    """An object that the host treats as a control without a model: it needs memory while sampling."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self._size = size

    def inference_memory_requirements(self, dtype: torch.dtype) -> float:
        """Bytes, counted by the host beside the model's own."""
        return self._size

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> _KeptMemory:
        """Give the same for another device of the host's *MultiGPU CFG Split*."""
        clone = _KeptMemory(self._size)
        if autoregister:
            self.multigpu_clones[load_device] = clone
        return clone


def _prepare_sampling(
    eight_bits: bool,
    executor: Callable[..., Any],
    model: Any,
    noise_shape: Any,
    conds: dict[str, Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Let the host make room for the kept keys and values while it loads the models."""
    size = _kept_bytes(model, noise_shape[0], conds, eight_bits)
    counted = {**conds, _KEY: [{"control": _KeptMemory(size)}]} if size else conds
    real_model, prepared, models = executor(model, noise_shape, counted, *args, **kwargs)
    return real_model, {name: entries for name, entries in prepared.items() if name != _KEY}, models


def _kept_bytes(model: Any, batch: int, conds: dict[str, Any], eight_bits: bool) -> int:
    """Compute the memory of the keys and values that a run keeps of all its sources."""
    prompts, sizes, tokens = read_prompts(conds), flux_sizes(model), 0
    for entry in (entry for entries in conds.values() for entry in entries or ()):
        latents = entry.get("reference_latents") or ()
        for place in prompts.sources_of(entry.get("uuid"), len(latents)):
            tokens += prod(token_grid(latents[place].shape, sizes["patch_size"]))
    blocks = sizes["depth"] + sizes["depth_single_blocks"]
    item = model.model.get_dtype_inference().itemsize
    return kept_bytes(batch * tokens, blocks, sizes["hidden_size"], item, eight_bits)


_FORWARD: ContextVar[_Forward | None] = ContextVar("relation_adapter_source_reuse", default=None)
"""The running forward."""


def _unreached(model: Any) -> ModelMismatchError:
    kind = type(model.diffusion_model)
    return ModelMismatchError(
        f"This model ({kind.__module__}.{kind.__name__}) does not call ComfyUI's post_input patches, so its source "
        "cannot be reused. Nunchaku's Flux and some replaced forwards are like that. Load FLUX.1 with Load Diffusion "
        "Model, or remove Reuse Relation Source."
    )
