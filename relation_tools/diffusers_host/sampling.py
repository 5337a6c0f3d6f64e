"""Sampling with a diffusers Flux: steps of a flow, with a clean source beside the target.

Axes: B pictures, S target tokens, R source tokens, L text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from einops import rearrange

from relation_core.flux.positions import source_positions
from relation_core.flux.solvers import Euler, Solver
from relation_core.flux.source_reuse import SourceMemory, source_tokens
from relation_core.progress import Progress, Silent

from .attention import ExemplarAttention
from .source_reuse import SourcePass

PATCH = 2
"""Side of a token in latent pixels."""


@dataclass(frozen=True)
class Prompt:
    """An encoded prompt."""

    text: torch.Tensor
    """(1, L, D), or one a row of the batch."""
    pooled: torch.Tensor
    """(1, C), likewise."""


def pack(latent: torch.Tensor) -> torch.Tensor:
    """Cut latents (B, 16, rows, columns) into tokens (B, rows / 2 * columns / 2, 64)."""
    return rearrange(latent, "b c (r p) (k q) -> b (r k) (c p q)", p=PATCH, q=PATCH)


def unpack(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Assemble tokens (B, rows * columns of the grid, 64) into latents (B, 16, 2 * rows, 2 * columns)."""
    return rearrange(tokens, "b (r k) (c p q) -> b c (r p) (k q)", r=grid[0], p=PATCH, q=PATCH)


def token_grid(latent: torch.Tensor) -> tuple[int, int]:
    """Rows and columns of the tokens of a latent."""
    return latent.shape[-2] // PATCH, latent.shape[-1] // PATCH


def image_positions(target: tuple[int, int], source: tuple[int, int]) -> torch.Tensor:
    """Position ids (S + R, 3) of a target's tokens and of the source's, which share them (paper, section 3.3)."""
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in target)
    ids = torch.zeros(*target, 3)
    ids[..., 1], ids[..., 2] = rows[:, None], columns
    ids = ids.flatten(0, 1)
    return torch.cat((ids, source_positions(ids[None], target, source)[0]))


def draw_noise(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Noise of a latent's shape, float32 on the CPU: the noise that ComfyUI draws for that seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def predict(
    transformer: Any,
    target: torch.Tensor,
    source: torch.Tensor,
    positions: torch.Tensor,
    levels: torch.Tensor,
    prompt: Prompt,
    guidance: float,
    exemplars: ExemplarAttention | None,
    reuse: SourcePass | None = None,
) -> torch.Tensor:
    """Call the transformer once and return the velocity, noise - target, of the target's tokens.

    Args:
        transformer: a diffusers Flux with relation attention.
        target: (B, S, 64), noisy.
        source: (B, R, 64), clean; its prediction is thrown away.
        positions: from :func:`image_positions`.
        levels: (B,) noise levels, 1 being pure noise.
        prompt: one text a row.
        guidance: distilled guidance; left out where the transformer does not take it.
        exemplars: what the blocks attend to; None for the model as it is.
        reuse: what is kept of the source, or where to keep it. Where it is reused, ``source`` holds no tokens and
            ``positions`` those of the target.

    Returns:
        (B, S, 64) float32.
    """
    tokens = torch.cat((target, source), dim=1).to(transformer.dtype)
    predicted = transformer(
        hidden_states=tokens,
        timestep=levels,
        guidance=torch.full_like(levels, guidance) if transformer.config["guidance_embeds"] else None,
        encoder_hidden_states=prompt.text.to(tokens.dtype),
        pooled_projections=prompt.pooled.to(tokens.dtype),
        img_ids=positions,
        txt_ids=positions.new_zeros(prompt.text.shape[1], 3),
        joint_attention_kwargs={"relation": exemplars, "source": reuse},
        return_dict=False,
    )[0]
    return predicted[:, : target.shape[1]].float()


@torch.no_grad()
def sample(
    transformer: FluxTransformer2DModel,
    prompt: Prompt,
    source: torch.Tensor,
    noise: torch.Tensor,
    sigmas: torch.Tensor,
    guidance: float,
    exemplars: ExemplarAttention | None,
    acting: tuple[float, float] = (1.0, 0.0),
    progress: Progress | None = None,
    refresh_every: int = 1,
    solver: Solver | None = None,
    eight_bits: bool = False,
) -> torch.Tensor:
    """Edit a picture in latent space.

    The latent is kept in float32; the transformer computes in its own dtype.

    Args:
        transformer: with relation attention (:func:`.attention.add_relation_attention`).
        prompt: the prompt, where the transformer computes.
        source: (B, 16, rows, columns), likewise; its tokens stay clean at every step.
        noise: (B, 16, rows, columns) of the target, likewise.
        sigmas: (steps + 1,) falling noise levels, of which the first is that of ``noise``.
        guidance: distilled guidance; left out where the transformer does not take it.
        exemplars: what the blocks attend to; None for the model as it is.
        acting: noise levels from which and down to which the exemplars act.
        progress: one step a sampling step; its total is up to the caller. It may raise to stop.
        refresh_every: steps for each computation of the source (:mod:`relation_core.flux.refreshes`); 1 computes it
            at each.
        solver: a new one; None for the authors'.
        eight_bits: whether what is reused of the source is kept in 8 bits.

    Returns:
        (B, 16, rows, columns) float32.
    """
    device, dtype, batch = noise.device, transformer.dtype, noise.shape[0]
    grid = token_grid(noise)
    positions = image_positions(grid, token_grid(source)).to(device)
    text, pooled = prompt.text.to(device, dtype), prompt.pooled.to(device, dtype)
    prompt = Prompt(text.expand(batch, -1, -1), pooled.expand(batch, -1))
    clean, target = pack(source), pack(noise).float()
    schedule = [float(level) for level in sigmas]
    memory, solver = SourceMemory(refresh_every, schedule, eight_bits), solver or Euler()
    tokens = source_tokens(len(positions), [clean.shape[1]], [0])
    for level, lower in pairwise(schedule):
        acts = exemplars is not None and acting[1] < level <= acting[0]
        memory.evaluate(level)
        kept = memory.recall(acts)  # the source changes when the exemplars begin or stop acting
        reuse = SourcePass(tokens, text.shape[1], memory, kept) if tokens and memory.wants(acts) else None
        beside, ids = (clean, positions) if kept is None else (clean[:, :0], positions[: target.shape[1]])
        levels = torch.full((batch,), level, device=device)
        velocity = predict(
            transformer, target, beside, ids, levels, prompt, guidance, exemplars if acts else None, reuse
        )
        if reuse is not None and kept is None:
            memory.keep(acts, ["edit"], reuse.recorded)
        target = solver.step(target, level, lower, velocity)
        (progress or Silent()).step()
    return unpack(target, grid)
