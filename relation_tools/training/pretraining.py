"""The training loop of the small autoencoder and the small vision model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import torch

from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, LEARNING_RATE, SEED, check_settings
from relation_core.tuning.moments import load_moments
from relation_core.weights.lock import alone_in

from .curve import Curve
from .learning_rate import learning_rate_factor
from .run_identity import MADE_WITH, check_identity
from .run_state import copy_weights, going_on, load_state, save_state

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainingOptions:
    """Settings of the loop."""

    output: Path
    steps: Annotated[int, COUNT] = 10_000
    batch_size: Annotated[int, COUNT] = 32
    learning_rate: Annotated[float, LEARNING_RATE] = 1e-3
    warmup: Annotated[int, COUNT_OR_NONE] = 200
    decay: Annotated[int, COUNT_OR_NONE] = 4000
    seed: Annotated[int, SEED] = 0
    record_every: Annotated[int, COUNT] = 100
    save_every: Annotated[int, COUNT] = 500

    def __post_init__(self) -> None:
        check_settings(self)


def pretrain(
    module: torch.nn.Module,
    loss_of: Callable[[int], dict[str, torch.Tensor]],
    options: PretrainingOptions,
    made_with: Mapping[str, str] | None = None,
) -> None:
    """Minimise the sum of some losses with AdamW, resuming an earlier run that was killed.

    Args:
        module: what is trained; its buffers are part of the state.
        loss_of: gives the losses of a step by name; whatever is random in it must depend on the step alone.
        options: of the loop. ``output`` gets the states and ``curve.csv``.
        made_with: what else the losses depend on, as text by name.

    Raises:
        BusyError: another process trains into the same folder.
        CheckpointError: the states there belong to a run with other settings.
    """
    with alone_in(options.output, "training in"):
        _pretrain(module, loss_of, options, {**_identity(module, options), **(made_with or {})})


def _pretrain(
    module: torch.nn.Module,
    loss_of: Callable[[int], dict[str, torch.Tensor]],
    options: PretrainingOptions,
    identity: dict[str, str],
) -> None:
    optimizer = torch.optim.AdamW(module.parameters(), options.learning_rate, weight_decay=1e-4)
    states = options.output / "states"
    start = _resume(module, optimizer, states, identity)
    record = _Record(options, start)
    module.train()
    for step in range(start, options.steps):
        for group in optimizer.param_groups:
            factor = learning_rate_factor(step, options.steps, options.warmup, options.decay)
            group["lr"] = options.learning_rate * factor
        losses = loss_of(step)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        record.add(done, losses)
        if done % options.save_every == 0 or done == options.steps:
            state = {"module": module.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(states, done, {MADE_WITH: identity, **state}, keep=2)
    module.eval()


def _resume(module: torch.nn.Module, optimizer: torch.optim.Optimizer, states: Path, identity: dict[str, str]) -> int:
    """Restore the last state, if there is one, and return the number of steps done."""
    state = load_state(states, ("module", "optimizer"))
    if state is None:
        return 0
    check_identity(state, identity, states)
    with going_on(states):
        copy_weights(module.state_dict(), state["module"])
        load_moments(optimizer, state["optimizer"])
    _LOG.info("Continuing after step %d.", state["step"])
    return state["step"]


class _Record:
    """Averages losses, and writes them as rows of ``curve.csv``."""

    def __init__(self, options: PretrainingOptions, start: int) -> None:
        self._options, self._start = options, start
        self._curve: Curve | None = None
        self._sums: dict[str, float] = {}
        self._since = time.monotonic()

    def add(self, done: int, losses: dict[str, torch.Tensor]) -> None:
        """Add the losses of a step, after which ``done`` steps are done."""
        every = self._options.record_every
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.item()
        if self._curve is None:
            columns = ("step", "samples_per_second", *losses)
            self._curve = Curve(self._options.output / "curve.csv", columns, self._start)
        if done % every == 0:
            now = time.monotonic()
            rate = every * self._options.batch_size / (now - self._since)
            row = {name: f"{total / every:.5g}" for name, total in self._sums.items()}
            self._curve.add({"step": done, "samples_per_second": f"{rate:.1f}", **row})
            _LOG.info("step %d: %s; %.0f samples a second", done, row, rate)
            self._sums, self._since = {}, now


def _identity(module: torch.nn.Module, options: PretrainingOptions) -> dict[str, str]:
    sizes = str([(name, list(tensor.shape)) for name, tensor in module.state_dict().items()])
    names = ("batch_size", "learning_rate", "warmup", "seed")
    digest = blake2b(sizes.encode(), digest_size=8).hexdigest()
    return {"the model": f"{type(module).__name__} {digest}", **{name: str(getattr(options, name)) for name in names}}
