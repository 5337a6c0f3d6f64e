"""The relation inside ComfyUI's Flux. This file alone knows ``transformer_options``.

One Apply node makes one :class:`RelationPatch`, and that registers six hooks on a clone of the model:

========================  ============================================================================
guider wrapper            once a run, before anything is sampled: are these latents the sources' own?
sampler wrapper           once a run: which conditioning is negative, which reference latents are sources
model wrapper             once a forward: plans what the others do (:mod:`.forward_plan`)
``post_input`` patch      once a forward: source tokens get the target's position ids
``attn1_patch``           every block: relation attention of the block's query
``attn1_output_patch``    every block: the result is added to the block's attention
========================  ============================================================================

The plan of a forward lies in a context variable, not in ``transformer_options``: torch.compile bakes the keys of that
dictionary into what it compiles. For the same reason the patches in blocks are left out of compilation.

CUDA graphs: what differs between two forwards (rows, noise level, mask, position ids) is decided in the plan, outside
of blocks; a block's hooks read it, and allocate nothing but the result. A graph of a block would still replay the rows
and the noise level that it was captured with, since a replay calls no hook. The host captures no block of a Flux; the
graphs of torch.compile leave the hooks out, as they are left out of compilation; and whoever captures a block all the
same is refused at the capture (:mod:`.capture`), never answered with an earlier step's relation.
Axes: B rows of the batch, L tokens, H heads, d head width.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..relation_core.flux.attention import AttentionFunction, relation_attention
from ..relation_core.flux.positions import source_positions
from ..relation_core.relation.keys_values import KeysValues
from ..relation_core.relation.relation import Relation
from ..relation_core.tuning.attended import Attended
from .batch_match import check_batches
from .capture import refuse_capture
from .forward_plan import ForwardPlan, plan_forward, plan_of, running
from .held_context import holding
from .host_attention import host_attention
from .model_check import check_room, compute_dtype, unreached
from .run_check import check_run
from .source_conditioning import Prompts, align_areas, own_entries, read_placed_prompts
from .source_reuse import computed, refresh_where_changed
from .watch import watched_forwards


@dataclass(frozen=True)
class RelationPatch:
    """A relation ready to be put on models."""

    relation: Relation
    """Without pairs of weight 0."""
    double_strength: float
    single_strength: float
    percents: tuple[float, float]
    """Share of sampling at which the relation begins and stops to act."""
    mask: torch.Tensor | None
    """(masks, height, width) in [0, 1] over the target, or None."""

    def register(self, model: Any) -> None:
        """Put the hooks on a model (a ``ModelPatcher``, already cloned)."""
        key = f"relation_adapter.{uuid.uuid4().hex}"
        strengths = {"double": self.double_strength, "single": self.single_strength}
        first_single = model.model.model_config.unet_config["depth"]
        keys_values = self.relation.keys_values_in(compute_dtype(model) or self.relation.keys_values.keys.dtype)
        for kind, wrapper in (
            (WrappersMP.OUTER_SAMPLE, _GuiderWrapper(1 if self.mask is None else self.mask.shape[:-2].numel())),
            (WrappersMP.SAMPLER_SAMPLE, _SamplerWrapper(key)),
            (WrappersMP.APPLY_MODEL, ModelWrapper(key, self.percents, self.mask)),
        ):
            add_wrapper_with_key(kind, key, wrapper, model.model_options, is_model_options=True)
        model.set_model_post_input_patch(PositionsPatch(key))
        model.set_model_attn1_patch(
            _AttentionPatch(key, keys_values, keys_values, self.relation.token_bias(), strengths, first_single)
        )
        model.set_model_attn1_output_patch(OutputPatch(key, strengths))


@dataclass
class _Run:
    """One sampling run."""

    prompts: Prompts
    reached: bool = False
    """Whether the model called the hooks."""


@dataclass(frozen=True)
class _GuiderWrapper:
    """Checks that the run can be sampled, and that its latents match the sources and masks."""

    masks: int

    def __call__(
        self,
        executor: Any,
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        denoise_mask: torch.Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        check_run(executor.class_obj, latent_image, noise, denoise_mask)
        check_batches(executor.class_obj.conds, self.masks, latent_image, noise, seed)
        with holding(_SAMPLED, noise.shape):
            return executor(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, **kwargs)


@dataclass(frozen=True)
class _SamplerWrapper:
    """Reads the conditioning before it is split into batches."""

    key: str

    def __call__(self, executor: Callable[..., Any], guider: Any, sigmas: Any, extra_args: Any, *args: Any) -> Any:
        options = extra_args["model_options"]["transformer_options"]
        noise, patch = args[1], guider.inner_model.model_config.unet_config["patch_size"]
        own_entries(guider.conds)
        align_areas(guider.conds, noise, patch)
        options[self.key] = _Run(read_placed_prompts(guider.conds, noise, patch))
        return executor(guider, sigmas, extra_args, *args)


@dataclass(frozen=True)
class ModelWrapper:
    """Plans a forward, and checks that the model calls the hooks at all."""

    key: str
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
        """Run a forward with its plan."""
        model = executor.class_obj
        options = dict(transformer_options or {})
        run: _Run | None = options.pop(self.key, None)  # None outside of a sampler, and where a guider calls no wrapper
        references = kwargs.get("ref_latents") or []
        check_room(c_concat, references)
        places = options.get("cond_or_uncond", [0])
        plan = plan_forward(
            x,
            references,
            model.model_config.unet_config["patch_size"],
            places,
            options.get("uuids", [None] * len(places)),
            run.prompts if run else Prompts(latent=_SAMPLED.get()),
            self.mask,
            self._acts_at(model, t),
        )
        with running(self.key, plan):
            result = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        if run is not None:
            run.reached |= plan.reached
            if not run.reached:
                raise unreached(model)
        return result

    def _acts_at(self, model: Any, t: torch.Tensor) -> bool:
        if self.percents == (0.0, 1.0):
            return True
        start, end = (float(model.model_sampling.percent_to_sigma(percent)) for percent in self.percents)
        return end < float(t[0]) and (self.percents[0] <= 0.0 or float(t[0]) <= start)  # samplers may add noise to 1


@dataclass(frozen=True)
class PositionsPatch:
    """Gives source tokens the position ids of the target."""

    key: str

    @torch.compiler.disable
    def __call__(self, args: dict[str, Any]) -> dict[str, Any]:
        """Change the ids of all sources."""
        plan = plan_of(self.key)
        for forward in watched_forwards():
            forward.plan = plan
        refresh_where_changed((self.key, plan.active))
        ids = args["img_ids"].clone()  # (B, image tokens, axes)
        for sources in plan.sources:
            target = ids[sources.rows, : plan.target[0] * plan.target[1]]
            for tokens, grid in sources.tokens:
                ids[sources.rows, tokens] = source_positions(target, plan.target, grid, sources.window)
        return {**args, "img_ids": ids}


@dataclass(frozen=True)
class _AttentionPatch:
    """Lets a block's query attend to the exemplars."""

    key: str
    home: KeysValues
    """The relation's own, shared with it if the dtype is the same."""
    resident: KeysValues
    """A copy on the model's device."""
    bias: torch.Tensor | None
    strengths: dict[str, float]
    first_single: int

    def to(self, target: torch.device | torch.dtype) -> _AttentionPatch:
        """Follow the model to a device. A dtype is that of the stored weights, which does not matter here."""
        if isinstance(target, torch.dtype):
            return self
        return replace(self, resident=self.home.to(target))

    @torch.compiler.disable
    def __call__(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        pe: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
        *,
        extra_options: dict[str, Any],
    ) -> dict[str, Any]:
        plan = plan_of(self.key)
        plan.reached = True
        refuse_capture(q)
        if plan.active and plan.positive and self.strengths[extra_options["block_type"]]:
            attend(plan, q, self.resident, self.bias, extra_options, self.first_single, host_attention)
        return {}


def attend(
    plan: ForwardPlan,
    q: torch.Tensor,
    tokens: KeysValues | Attended,
    bias: torch.Tensor | None,
    extra_options: dict[str, Any],
    first_single: int,
    attention: AttentionFunction,
) -> None:
    """Let a block's query (B, H, L, d) attend to exemplar tokens; :class:`OutputPatch` adds the result."""
    kind = extra_options["block_type"]
    index = extra_options["block_index"] + (first_single if kind == "single" else 0)
    # All are there already, but for a second GPU or a compute dtype that was set after our node.
    keys, values = tokens.keys[index].to(q), tokens.values[index].to(q)
    bias = None if bias is None else bias.to(q)
    first = extra_options["img_slice"][0] if kind == "double" else 0
    plan.results = [relation_attention(q[rows, :, first:], keys, values, attention, bias) for rows in plan.positive]


@dataclass(frozen=True)
class OutputPatch:
    """Adds the exemplars' share to the block's attention."""

    key: str
    strengths: dict[str, float]

    @torch.compiler.disable
    def __call__(self, attn: torch.Tensor, extra_options: dict[str, Any]) -> torch.Tensor:
        """Add to a block's attention (B, L, H * d), in place where no gradient flows."""
        plan = plan_of(self.key)
        results, plan.results = plan.results, []
        if not results:
            return attn
        kind, text = extra_options["block_type"], extra_options["img_slice"][0]
        first = text if kind == "double" else 0
        if attn.requires_grad or results[0].requires_grad:  # where gradients flow, nothing may change in place
            attn, results = attn.clone(), [result.clone() for result in results]
        if plan.mask is not None:
            for rows, result in zip(plan.positive, results, strict=True):  # (B, L, H * d)
                result[:, text - first :] *= computed(plan.mask[rows] if plan.mask.shape[0] > 1 else plan.mask)
        target = slice(text, text + plan.target[0] * plan.target[1])
        for forward in watched_forwards():
            forward.note(
                self.key,
                (kind, extra_options["block_index"]),
                [attn[rows, target] for rows in plan.positive],
                [result[:, target.start - first : target.stop - first] for result in results],
                self.strengths[kind],
                plan,
            )
        for rows, result in zip(plan.positive, results, strict=True):
            attn[rows, first:].add_(result, alpha=self.strengths[kind])
        return attn


_SAMPLED: ContextVar[torch.Size | None] = ContextVar("relation_adapter_sampled", default=None)
"""The shape of the latent of the running guider."""
