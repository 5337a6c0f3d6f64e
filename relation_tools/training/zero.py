"""Gradients and moments divided among processes by DeepSpeed's ZeRO (arXiv 1910.02054), in its stages 1 and 2.

Each process holds all weights, so that they are exported, averaged and looked at as those of one process are.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

import torch
from torch import distributed, nn

from relation_core.errors import RelationAdapterError

from .optimizer import make_optimizer
from .settings import TrainingSettings
from .sharding import give

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's own names of what it keeps of each weight."""


def check_deepspeed() -> None:
    """See that DeepSpeed is there, without the seconds that it takes to import it.

    Raises:
        RelationAdapterError: it is not.
    """
    if find_spec("deepspeed") is None:
        raise _unusable("it is not installed")


def _deepspeed(device: str) -> Any:
    """Import DeepSpeed, for a type of device.

    Raises:
        RelationAdapterError: it cannot be imported.
    """
    if device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # it would take a card where there is one
    try:
        return importlib.import_module("deepspeed")
    except Exception as error:  # it looks for compilers, and raises whatever it runs into
        raise _unusable(str(error)[:200]) from error


def _unusable(reason: str) -> RelationAdapterError:
    return RelationAdapterError(
        f"This launch needs DeepSpeed, which cannot be imported ({reason}). Run `pip install deepspeed`, or divide the "
        "run by FSDP 2, which PyTorch brings: ACCELERATE_USE_FSDP=true FSDP_VERSION=2."
    )


class ZeroAdamW(torch.optim.AdamW):
    """AdamW whose gradients (in stage 2) and moments are divided among the processes; it takes the steps, too.

    Its groups hold the parameters and what is set for them, as those of any AdamW do.

    Args:
        flow: the model, the same in every process, on its device. Its trained weights are float32.
        parameters: those that are trained.
        training: the run's settings.
        at_once: samples of a part, in one process.
        stage: 1 or 2.
        autocast: makes the context that the model computes in.
    """

    def __init__(
        self,
        flow: nn.Module,
        parameters: Mapping[str, nn.Parameter],
        training: TrainingSettings,
        at_once: int,
        stage: int,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        kept = list(parameters.values())
        super().__init__(kept, training.learning_rate, weight_decay=training.weight_decay)
        library = _deepspeed(kept[0].device.type)
        self._divided = make_optimizer(kept, training)
        self.prepared: Any
        self.prepared, *_ = library.initialize(
            model=_Autocast(flow, autocast),
            optimizer=self._divided,
            dist_init_required=False,
            config={
                "train_micro_batch_size_per_gpu": at_once,
                "gradient_accumulation_steps": training.accumulate,
                "gradient_clipping": training.max_gradient,
                "zero_optimization": {"stage": stage},
            },
        )
        """The model, as all processes train it together."""
        self._utils = library.utils

    @property
    def _part(self) -> nn.Parameter:
        """The weights whose moments this process holds, as DeepSpeed keeps them: in one row."""
        (part,) = self._divided.param_groups[0]["params"]
        return part

    def held(self) -> tuple[int, int]:
        """Of how many weights this process holds moments, and how many are trained."""
        return self._part.numel(), sum(parameter.numel() for parameter in self.param_groups[0]["params"])

    def part(self, loss: Callable[[], torch.Tensor], last: bool) -> torch.Tensor:
        """As :meth:`.steps.Steps.part`."""
        found = loss()
        self.prepared.backward(found, scale_wrt_gas=False)
        if not last:
            self.prepared.step()  # counts the part
        return found.detach()

    def finish(self) -> None:
        """As :meth:`.steps.Steps.finish`."""
        self._divided.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self.prepared.step()

    def state_dict(self) -> dict[str, Any]:
        """Give the state of a whole AdamW to the first process, and its numbers of steps to the others.

        All processes call it, after a step.
        """
        state: dict[int, dict[str, torch.Tensor]] = {}
        steps = self._divided.state[self._part]["step"]
        for number, parameter in enumerate(self.param_groups[0]["params"]):
            state[number] = {"step": steps.clone()}
            for name in MOMENTS:
                whole: torch.Tensor = self._utils.safe_get_full_optimizer_state(parameter, name)
                if distributed.get_rank() == 0:
                    state[number][name] = whole.cpu()
        return {"state": state, "param_groups": super().state_dict()["param_groups"]}

    @torch.no_grad()
    def take(self, moments: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """Take up the state of a whole AdamW of these parameters, which hold their saved values by now.

        All processes call it, before any step.

        Args:
            moments: what it knew of each parameter; in processes but the first, outlines.
        """
        optimizer, part = self.prepared.optimizer, self._part
        optimizer.refresh_fp32_params()  # which the steps change, and the weights are copies of
        known = next(iter(moments.values()))["step"]
        steps = torch.empty_like(known, device=part.device)
        give(steps, known)
        self._divided.state[part] = {"step": steps, **{name: torch.zeros_like(part) for name in MOMENTS}}
        optimizer._lazy_init_hp_params_optimizer_state()  # else it waits for a first step
        parameters = self.param_groups[0]["params"]
        for number, found in moments.items():
            parameter = parameters[number]
            for name in MOMENTS:
                value = torch.empty_like(parameter)
                give(value, found[name])
                self._utils.safe_set_full_optimizer_state(parameter, value, name)


class _Autocast(nn.Module):
    """Computes a model in a context that DeepSpeed would leave."""

    def __init__(self, flow: nn.Module, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        super().__init__()
        self.flow = flow
        self._autocast = autocast

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.flow(*tensors)
