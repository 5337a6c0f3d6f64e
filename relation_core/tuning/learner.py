"""The learning loop, which can pause after any step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..adapter.config import RelationConfig
from ..randomness import generator_of
from ..relation.streaming import Matrix
from .attended import Attended, attended_by_block
from .flow import LatentPair, Predict, flow_losses, split_samples
from .levels import draw_levels
from .moments import load_moments
from .settings import TuningError, TuningSettings

LEVELS_A_PAIR = 4
"""Noise levels at which every held-out pair is measured, always with the same noise."""
_HALF_SCALE = 1024.0
"""Factor of the loss in a model in float16, whose gradients would otherwise vanish."""
_MOST_GROWTH = 100.0
"""Largest growth of the tokens' root mean square; good learning stays far below it."""


class Learner:
    """Learns exemplar tokens with AdamW.

    Random numbers depend on the seed and the step alone, and everything else is in :meth:`state`. So a learner that
    resumes from a state gives the same result, bit for bit.

    Args:
        predict: the frozen model.
        weights: the adapter's tensors by canonical name, in its file.
        config: the adapter's sizes.
        start: (P, 2N, D) tokens to start from.
        bias: (P * 2N,) of the tokens, or None.
        pairs: what is learned from.
        held_out: pairs that are only measured; if there are any, the best tokens are kept, otherwise the last.
        settings: of the learning.
        device: where to compute.
        dtype: what the model computes in.
    """

    def __init__(
        self,
        predict: Predict,
        weights: Mapping[str, Matrix],
        config: RelationConfig,
        start: torch.Tensor,
        bias: torch.Tensor | None,
        pairs: Sequence[LatentPair],
        held_out: Sequence[LatentPair],
        settings: TuningSettings,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        self._predict, self._weights, self._config = predict, weights, config
        self._bias, self._pairs, self._held_out = bias, list(pairs), list(held_out)
        self._settings, self._device, self._dtype = settings, torch.device(device), dtype
        self._tokens = start.detach().to(self._device, torch.float32, copy=True).requires_grad_()
        self._scale = float(start.float().square().mean().sqrt())
        self._optimizer = torch.optim.AdamW([self._tokens], weight_decay=0.0)
        self._best: torch.Tensor | None = None
        self.step = 0
        """Steps done so far."""
        self.losses: list[float] = []
        """Of every step, on the pairs that are learned from."""
        self.checks: list[tuple[int, float]] = []
        """Steps done, and the loss on the pairs that are held out."""

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self._settings.steps

    @property
    def tokens(self) -> torch.Tensor:
        """The learned tokens, (P, 2N, D) float32 on the CPU; with held-out pairs, the best ones."""
        best = self._tokens if self._best is None else self._best
        return best.detach().to("cpu", copy=True)

    @property
    def best_step(self) -> int:
        """Steps that produced :attr:`tokens`."""
        return self.step if self._best is None else min(self.checks, key=lambda check: check[1])[0]

    def take_step(self) -> float:
        """Take one step and return its loss.

        Raises:
            TuningError: the loss, of these pairs or of those held out, or the tokens are no longer finite.
        """
        if self.step == 0 and not self.checks:
            self._check()
        for group in self._optimizer.param_groups:
            group["lr"] = self._scale * self._settings.learning_rate_at(self.step)
        loss = self._backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self._check_finite(loss if bool(self._tokens.isfinite().all()) else math.nan)
        self.losses.append(loss)
        if self.step % self._settings.check_every == 0 or self.done:
            self._check()
        return loss

    def attended(self) -> Attended:
        """Keys and values of the learned tokens, without gradients."""
        with torch.no_grad():
            return self._attend(self.tokens.to(self._device))

    def check_learned(self) -> None:
        """Refuse the result of learning that diverged or found nothing.

        Raises:
            TuningError: the loss grew, the tokens grew too large, or no step fitted the held-out pairs better.
        """
        if self.best_step == 0:
            raise TuningError(
                f"No step at the learning rate {self._settings.learning_rate:g} lowered the loss on the held-out pairs "
                f"from {self.checks[0][1]:.3g}; expected one. Nothing was kept: lower the learning rate, or hold out "
                "pairs of the same edit."
            )
        part = max(1, len(self.losses) // 10)
        first, last = (sum(losses) / part for losses in (self.losses[:part], self.losses[-part:]))
        size = float(self.tokens.square().mean().sqrt()) / self._scale
        found = f"The loss grew from {first:.3g} to {last:.3g}" if self._best is None and last > 2.0 * first else ""
        if not found and size > _MOST_GROWTH:
            found = f"The tokens grew to {size:.3g} times their size"
        if found:
            raise TuningError(
                f"{found} at the learning rate {self._settings.learning_rate:g}; expected the loss to fall, and tokens "
                f"below {_MOST_GROWTH:g} times what they began with. Nothing was kept: lower the learning rate."
            )

    def state(self) -> dict[str, Any]:
        """Everything that the next steps depend on, and the curve so far."""
        return {
            "step": self.step,
            "tokens": self._tokens.detach().clone(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
            "losses": list(self.losses),
            "checks": list(self.checks),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Resume from a state.

        Raises:
            AttributeError, KeyError, RuntimeError, TypeError, ValueError: it is no state of this learning.
        """
        losses = [float(loss) for loss in state["losses"]]
        checks = [(int(step), float(loss)) for step, loss in state["checks"]]
        best = state["best"]
        found = [state["tokens"]] if best is None else [state["tokens"], best]
        if any(value.shape != self._tokens.shape or not bool(value.isfinite().all()) for value in found):
            raise ValueError("its tokens are of another shape, or not finite")
        if (best is None) != (not checks) or len(losses) != state["step"]:
            raise ValueError("its losses are not those of its steps")
        if state["step"]:
            load_moments(self._optimizer, state["optimizer"])
        with torch.no_grad():
            self._tokens.copy_(state["tokens"])
        self._best = None if best is None else best.to(self._device)
        self.step, self.losses, self.checks = state["step"], losses, checks

    def _attend(self, tokens: torch.Tensor) -> Attended:
        flat = tokens.flatten(0, 1).to(self._dtype)
        bias = None if self._bias is None else self._bias.to(self._device)
        return attended_by_block(flat, self._weights, self._config, bias)

    def _backward(self) -> float:
        """Set the tokens' gradient and return the loss.

        The samples go through the model in pieces, and the adapter's matrices are streamed once for all of them.
        """
        size = self._settings.batch_size
        generator = generator_of(self._settings.seed, "step", self.step)
        chosen = _draw_pairs(len(self._pairs), size, generator)
        levels = draw_levels(size, generator)
        pairs = [self._pairs[index] for index in chosen]
        noises = [torch.randn(pair.target.shape, generator=generator) for pair in pairs]
        whole = self._attend(self._tokens)
        leaves = whole.cut_off()
        scale = _HALF_SCALE if self._dtype == torch.float16 else 1.0
        total = 0.0
        for samples in split_samples(pairs, noises, levels):
            loss = flow_losses(self._predict, samples, leaves, self._device).sum() / size
            (scale * loss).backward()  # pyright: ignore[reportUnknownMemberType] - untyped
            total += float(loss.detach())
        gradients = [leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves.tensors()]
        torch.autograd.backward(whole.tensors(), gradients)
        if self._tokens.grad is not None:
            self._tokens.grad /= scale
        return total

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TuningError(
                f"The loss of step {self.step} is {loss:g} at the learning rate {self._settings.learning_rate:g}; "
                "expected finite values only. Nothing was kept: lower the learning rate."
            )

    @torch.no_grad()
    def _check(self) -> None:
        """Measure the held-out pairs and keep the tokens if they are the best so far."""
        if not self._held_out:
            return
        generator = generator_of(self._settings.seed, "held out")
        pairs = [pair for pair in self._held_out for _ in range(LEVELS_A_PAIR)]
        levels = torch.cat([draw_levels(LEVELS_A_PAIR, generator) for _ in self._held_out])
        noises = [torch.randn(pair.target.shape, generator=generator) for pair in pairs]
        attended = self._attend(self._tokens)
        losses = [
            flow_losses(self._predict, samples, attended, self._device)
            for samples in split_samples(pairs, noises, levels)
        ]
        loss = float(torch.cat(losses).mean())
        self._check_finite(loss)
        if self._best is None or loss < min(loss for _, loss in self.checks):
            self._best = self._tokens.detach().clone()
        self.checks.append((self.step, loss))


def _draw_pairs(count: int, size: int, generator: torch.Generator) -> list[int]:
    """Draw ``size`` of ``count`` pairs, all equally often to within one."""
    rounds = [torch.randperm(count, generator=generator) for _ in range(-(-size // count))]
    return [int(index) for index in torch.cat(rounds)[:size]]
