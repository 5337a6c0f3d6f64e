"""The cost of one denoising step: without the relation, with it, and the naive way, run in turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from .naive import NaiveBlocks, patch_naively
from .sizes import Sizes

BASE = "without"
NAIVE = "naive"


@dataclass(frozen=True)
class Run:
    """One step."""

    seconds: float
    cpu_seconds: float
    """Of all threads together: says less about waiting for other processes."""
    hook_seconds: float
    """Of ``seconds``, those inside the hooks."""


class StepModels:
    """A random Flux with ComfyUI's own blocks, and the same with relations and with the naive way."""

    def __init__(self, host: Any, sizes: Sizes, dtype: torch.dtype) -> None:
        self._host, self._sizes, self._dtype = host, sizes, dtype
        self._generator = torch.Generator().manual_seed(2)
        self._hook_clock: list[float] = []
        base = self._flux()
        self.variants = {BASE: base, **{_pairs(count): self._with_relation(base, count) for count in sizes.pairs}}
        config = sizes.adapter
        blocks = NaiveBlocks(sizes.depth + sizes.depth_single, config.text_dim, config.hidden_size, dtype)
        tokens = self._random(1, 2 * config.tokens, config.text_dim)
        self.variants[NAIVE] = patch_naively(base, blocks, tokens, sizes.depth)

    def step(self, name: str, side: int) -> tuple[Run, torch.Tensor]:
        """Sample one Euler step of a picture of ``side`` pixels beside a source of the same size."""
        return self.sample(self.variants[name], side, "euler", torch.tensor([1.0, 0.9]))

    @torch.inference_mode()
    def sample(self, model: Any, side: int, sampler: str, sigmas: torch.Tensor) -> tuple[Run, torch.Tensor]:
        """Sample a picture of ``side`` pixels beside a source of the same size at these noise levels."""
        import comfy.samplers
        from comfy_extras.nodes_custom_sampler import Guider_Basic

        generator = torch.Generator().manual_seed(3)
        noise, source = torch.randn(2, 1, 16, side // 8, side // 8, generator=generator).unbind()
        text = torch.randn(1, self._sizes.text_tokens, self._sizes.adapter.text_dim, generator=generator)
        pooled = torch.randn(1, self._sizes.pooled_dim, generator=generator)
        guider = Guider_Basic(model)
        guider.set_conds([[text, {"pooled_output": pooled, "guidance": 3.5, "reference_latents": [source]}]])
        chosen = comfy.samplers.sampler_object(sampler)
        self._hook_clock.clear()
        start, cpu_start = time.perf_counter(), time.process_time()
        result = guider.sample(noise, torch.zeros_like(noise), chosen, sigmas, disable_pbar=True, seed=0)
        run = Run(time.perf_counter() - start, time.process_time() - cpu_start, sum(self._hook_clock))
        return run, result

    def _flux(self) -> Any:
        import comfy.ops
        import comfy.sd
        from comfy.ldm.flux.model import Flux

        module = Flux(
            image_model="flux", dtype=self._dtype, device="meta", operations=comfy.ops.manual_cast, **self._sizes.flux
        )
        state = {}
        for name, tensor in module.state_dict().items():
            state[name] = torch.ones(tensor.shape, dtype=self._dtype)
            if tensor.ndim > 1:
                state[name].normal_(0.0, tensor.shape[1] ** -0.5, generator=self._generator)
            elif not name.endswith("scale"):
                state[name].zero_()
        model = comfy.sd.load_diffusion_model_state_dict(state, model_options={"dtype": self._dtype})
        model.set_model_compute_dtype(self._dtype)  # as the ModelComputeDtype node does
        return model

    def _with_relation(self, base: Any, pairs: int) -> Any:
        config = replace(self._sizes.adapter, blocks=self._sizes.depth + self._sizes.depth_single)
        kv, relations = (self._host.module(f"relation_core.relation.{name}") for name in ("keys_values", "relation"))
        shape = (config.blocks, config.heads, pairs * 2 * config.tokens, config.head_dim)
        keys, scale = kv.normalise_keys(self._random(*shape))
        relation = relations.Relation(
            config,
            "0" * 16,
            self._random(pairs, 2 * config.tokens, config.text_dim),
            (1.0,) * pairs,
            torch.zeros(pairs, 64, 128, 3, dtype=torch.uint8),
            kv.KeysValues(keys, self._random(*shape), scale),
        )
        node = self._host.node_classes["ApplyRelationAdapter"]
        patched = node.execute(base, relation, 1.0, 0.0, 1.0, 1.0, 1.0)[0]
        patches = patched.model_options["transformer_options"]["patches"]
        for name in ("attn1_patch", "attn1_output_patch", "post_input"):
            patches[name] = [self._timed(patch) for patch in patches[name]]
        return patched

    def _timed(self, patch: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = patch(*arguments, **named)
            self._hook_clock.append(time.perf_counter() - start)
            return result

        return call

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator).to(self._dtype)


def measure_steps(host: Any, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure every dtype, picture size and variant; one table row each."""
    rows = []
    for dtype in sizes.dtypes:
        models = StepModels(host, sizes, getattr(torch, dtype))
        for side, rounds in sizes.rounds.items():
            for name, pairs in _rounds(models, side, rounds).items():
                rows.append({"dtype": dtype, "side": side, "variant": name, **summary(pairs)})
                say(f"{dtype} {side}x{side} {name}: {rows[-1]['seconds']:.3f} s, {rows[-1]['ratio']:.4f} of the step")
        del models
        gc.collect()
    return rows


def _rounds(models: StepModels, side: int, rounds: int) -> dict[str, list[tuple[Run, Run]]]:
    """Run every variant right beside the plain step, now after it and now before: a machine's speed drifts."""
    variants = [name for name in models.variants if name != BASE]
    _, plain = models.step(BASE, side)  # also warms up
    pairs: dict[str, list[tuple[Run, Run]]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in variants:
            runs = {}
            for one in (BASE, name) if number % 2 == 0 else (name, BASE):
                runs[one], result = models.step(one, side)
                if not bool(result.isfinite().all()) or torch.equal(result, plain) != (one == BASE):
                    raise SystemExit(f"The step '{one}' at {side} pixels gave a result that cannot be right.")
            pairs[name].append((runs[name], runs[BASE]))
    plains = [base for name in variants for _, base in pairs[name]]
    return {BASE: [(run, run) for run in plains], **pairs}


def summary(pairs: list[tuple[Run, Run]]) -> dict[str, Any]:
    """Summarise runs, each with the one that it is set beside."""
    ratios = [run.seconds / base.seconds for run, base in pairs]
    return {
        "seconds": median(run.seconds for run, _ in pairs),
        "ratio": median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "cpu_ratio": median(run.cpu_seconds / base.cpu_seconds for run, base in pairs),
        "in_hooks": median(run.hook_seconds / (run.seconds - run.hook_seconds) for run, _ in pairs),
        "runs": [[asdict(run), asdict(base)] for run, base in pairs],
    }


def _pairs(count: int) -> str:
    return f"{count} pair" if count == 1 else f"{count} pairs"
