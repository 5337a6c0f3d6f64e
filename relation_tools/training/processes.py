"""The processes of a run: whole models side by side, with moments that ZeRO divides, or one divided by FSDP2.

Other launches are refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin, InitProcessGroupKwargs

from relation_core.errors import RelationAdapterError

PATIENCE = timedelta(days=1)
"""How long a process waits for the others. One of them may encode a dataset or draw a sheet, and PyTorch's own limit of
10 minutes would end the run; a process that dies ends it anyway, through the launcher."""
_FSDP, _DEEPSPEED = "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"
_ZERO = "ACCELERATE_DEEPSPEED_"
_STAGES = {"1": 1, "2": 2}
_REFUSED = {
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_TP": "tensor parallelism",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config (sharding, tensor, context or sequence parallelism)",
}
"""The variables that `accelerate launch` sets for each way to divide a model that is refused, and their names."""


class ProcessesError(RelationAdapterError):
    """The processes were started for a kind of training that is not supported."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run."""

    accelerator: Any
    divided: bool
    """Whether each holds a part of the model (FSDP2), not all of it."""
    zero: int = 0
    """The stage of DeepSpeed's ZeRO: each holds a part of the moments (1), and sums up a part of the gradients (2)."""

    @property
    def divided_by(self) -> Literal["FSDP", "ZeRO"] | None:
        """What divides the model or the moments among them; None if each holds all, so that one can do for all."""
        return "FSDP" if self.divided else "ZeRO" if self.zero else None


def start_processes(cpu: bool, precision: str, trackers: Sequence[str] = (), output: Path | None = None) -> Processes:
    """Join the other processes of the run, if there are any.

    A launch by FSDP2 is not passed on to accelerate, which knows it on GPUs alone and averages gradients in bfloat16:
    :mod:`.sharding` divides the model, alike on every device. Nor do other libraries see it: they would leave the
    frozen models of all processes but the first without weights. Nor is one by DeepSpeed: :mod:`.zero` starts it with
    this run's own settings.

    Args:
        cpu: train on the processor.
        precision: accelerate's name of what the model computes in.
        trackers: accelerate's names of those that follow the run.
        output: where they write.

    Raises:
        ProcessesError: they were started to divide the model in another way. The optimizer and the exports would then
            hold weights that are not the trained ones.
    """
    divided, zero = check_launch(os.environ)
    for variable in (_FSDP, _DEEPSPEED):
        os.environ.pop(variable, None)
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        log_with=list(trackers) or None,
        project_dir=output,
        # The trainer accumulates by itself. Left out, accelerate takes a number from its configuration.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[
            # The gradients are the buckets they are sent in, not copies of them.
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            InitProcessGroupKwargs(timeout=PATIENCE),
        ],
    )
    check_kind(accelerator.distributed_type.value)
    several = accelerator.num_processes > 1
    return Processes(accelerator, divided and several, zero if several else 0)


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


def check_launch(environment: Mapping[str, str]) -> tuple[bool, int]:
    """Whether a launch divides the model by FSDP2, and the stage of ZeRO by which it divides the moments, or 0.

    Other ways are refused before anything is loaded.

    Raises:
        ProcessesError: it divides the model in another way; the message names it.
    """
    for variable, name in _REFUSED.items():
        if _is_on(environment, variable):
            raise _refusal(f"{name} ({variable}={environment[variable]})")
    if _is_on(environment, _DEEPSPEED):
        return False, _zero_stage(environment)
    if not _is_on(environment, _FSDP):
        return False, 0
    version = environment.get("FSDP_VERSION", "1").strip()
    if version != "2":
        raise _refusal(f"FSDP of version {version} ({_FSDP}={environment[_FSDP]}, FSDP_VERSION={version})")
    if _is_on(environment, "FSDP_OFFLOAD_PARAMS"):
        raise _refusal(f"FSDP's offloading to the processor (FSDP_OFFLOAD_PARAMS={environment['FSDP_OFFLOAD_PARAMS']})")
    return True, 0


def _zero_stage(environment: Mapping[str, str]) -> int:
    """The stage of a launch by DeepSpeed; 2, as accelerate has it, unless the launch says another.

    Raises:
        ProcessesError: it is another than 1 and 2, or there is more than a stage.
    """
    if _is_on(environment, _FSDP):
        raise _refusal(f"FSDP and DeepSpeed at once ({_FSDP} and {_DEEPSPEED})")
    for name in ("OFFLOAD_OPTIMIZER_DEVICE", "OFFLOAD_PARAM_DEVICE", "CONFIG_FILE"):
        told = environment.get(_ZERO + name, "").strip()
        if told.lower() not in ("", "none"):
            raise _refusal(f"DeepSpeed's {name.lower()} ({_ZERO}{name}={told})")
    told = environment.get(f"{_ZERO}ZERO_STAGE", "2").strip()
    if told not in _STAGES:
        raise _refusal(f"DeepSpeed's ZeRO of stage {told} ({_ZERO}ZERO_STAGE={told})")
    return _STAGES[told]


def check_kind(kind: str) -> None:
    """Refuse what accelerate made of the launch unless it leaves the model to the trainer.

    Raises:
        ProcessesError: it is neither one process nor data parallel.
    """
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise _refusal(f"accelerate's kind '{kind}'")


def _is_on(environment: Mapping[str, str], variable: str) -> bool:
    return environment.get(variable, "").strip().lower() in ("1", "true", "yes", "on", "y", "t")


def _refusal(found: str) -> ProcessesError:
    return ProcessesError(
        f"The processes were started with {found}. Expected data parallel, FSDP of version 2, or DeepSpeed's ZeRO of "
        "stage 1 or 2, without offloading or a file of DeepSpeed's settings: with anything else this trainer would "
        "save untrained weights. Run `accelerate config` again and choose multi-GPU, with FSDP 2 to divide the model; "
        "or unset what asks for it in the environment, and start with `torchrun --nproc_per_node GPUS -m "
        "relation_tools train CONFIG.toml`; for FSDP, with ACCELERATE_USE_FSDP=true FSDP_VERSION=2 before it."
    )
