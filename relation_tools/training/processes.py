"""The processes of a run: plain data parallelism; other launches are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin

from relation_core.errors import RelationAdapterError

_DIVIDES_WEIGHTS = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_TP": "tensor parallelism",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config (sharding, tensor, context or sequence parallelism)",
}
"""The variables that `accelerate launch` sets for each way to divide a model, and their names."""


class ProcessesError(RelationAdapterError):
    """The processes were started for a kind of training that is not supported."""


def start_processes(cpu: bool, precision: str) -> Any:
    """Join the other processes of the run, if there are any.

    Args:
        cpu: train on the processor.
        precision: accelerate's name of what the model computes in.

    Raises:
        ProcessesError: they were started to divide the model between them. The optimizer and the exports would then
            hold weights that are not the trained ones.
    """
    check_launch(os.environ)
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        # The trainer accumulates by itself. Left out, accelerate takes a number from its configuration.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        # The gradients are the buckets they are sent in, not copies of them.
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    check_kind(accelerator.distributed_type.value)
    return accelerator


def samples_at_once(batch_size: int, processes: int, accumulate: int) -> int:
    """Divide a batch between processes, and the parts that each of them computes one after another.

    Raises:
        ProcessesError: it cannot be divided evenly.
    """
    parts = processes * accumulate
    if batch_size % parts:
        above = -(-batch_size // parts) * parts
        raise ProcessesError(
            f"training.batch_size is {batch_size}, the samples of a step on all processes together; found {processes} "
            f"process(es) and training.accumulate = {accumulate}; expected a multiple of {parts}. Set "
            f"training.batch_size = {above}, or start another number of processes."
        )
    return batch_size // parts


def check_launch(environment: Mapping[str, str]) -> None:
    """Refuse a launch that divides the model, before anything is loaded.

    Raises:
        ProcessesError: it does; the message names it.
    """
    for variable, name in _DIVIDES_WEIGHTS.items():
        if environment.get(variable, "").strip().lower() in ("1", "true", "yes", "on", "y", "t"):
            raise _refusal(f"{name} ({variable}={environment[variable]})")


def check_kind(kind: str) -> None:
    """Refuse what accelerate made of the launch unless every process holds the whole model.

    Raises:
        ProcessesError: it is neither one process nor data parallel.
    """
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise _refusal(f"accelerate's kind '{kind}'")


def _refusal(found: str) -> ProcessesError:
    return ProcessesError(
        f"The processes were started with {found}. Expected plain data parallel, in which every process holds the "
        "whole model: this trainer would save untrained weights otherwise. Run `accelerate config` again and choose "
        "multi-GPU without FSDP, DeepSpeed, Megatron-LM or a parallelism config, or start with `torchrun "
        "--nproc_per_node GPUS -m relation_tools train CONFIG.toml`."
    )
