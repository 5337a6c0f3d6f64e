"""What makes a run small, and what it cannot be combined with."""

from __future__ import annotations

from typing import Literal

from relation_core.errors import RelationAdapterError

from ..diffusers_host.quantisation import (
    check_not_quantised_twice,
    check_quantization,
    is_stored_quantised,
    library,
)
from .processes import Processes, ProcessesError
from .settings import RunSettings
from .zero import check_deepspeed


def check_small(settings: RunSettings, processes: Processes) -> None:
    """Refuse what cannot be trained in few bits, before anything is loaded.

    Raises:
        ProcessesError: as :func:`check_combination`.
        RelationAdapterError: likewise; or a library is missing, or the device cannot compute it.
    """
    check_combination(settings, processes.accelerator.num_processes, processes.divided_by)
    if processes.zero:
        check_deepspeed()
    check_quantization(settings.models.quantize, settings.models.transformer, processes.accelerator.device)
    if settings.training.optimizer == "adamw 8-bit":
        library("bitsandbytes")


def check_combination(settings: RunSettings, count: int, divided_by: Literal["FSDP", "ZeRO"] | None) -> None:
    """Refuse settings that cannot stand together in some number of processes, whatever the machine.

    Args:
        settings: of the run.
        count: how many processes there are.
        divided_by: what divides the model or the moments among them, if anything does.

    Raises:
        ProcessesError: a quantised transformer was to be copied to several processes, or divided among them, or a
            divided model was to be compiled, or to have moments in 8 bits; or ZeRO was to train weights in bfloat16; or
            offloading was to be compiled or shared.
        RelationAdapterError: a quantised transformer was to be trained, offloaded, or quantised again.
    """
    models, training = settings.models, settings.training
    if training.compile and divided_by:
        raise ProcessesError(
            f"training.compile is on, and {divided_by} divides the run; expected one of them: they have not been seen "
            f"to work together. Set compile = false, or start without {divided_by}."
        )
    if training.optimizer == "adamw 8-bit" and divided_by:
        raise ProcessesError(
            f"training.optimizer is 'adamw 8-bit', and {divided_by} divides the moments; expected whole ones in 8 "
            f"bits. Set optimizer = 'adamw', whose moments {divided_by} divides."
        )
    if training.weights != "float32" and divided_by == "ZeRO":
        raise ProcessesError(
            f"training.weights is '{training.weights}', and DeepSpeed's ZeRO keeps a float32 copy of what it trains; "
            "expected 'float32'. Set weights = 'float32', or start with FSDP 2."
        )
    check_not_quantised_twice(models.quantize, models.transformer)
    if models.offload and (training.compile or count > 1):
        raise ProcessesError(
            f"models.offload is true, with compile = {str(training.compile).lower()} and {count} process(es); expected "
            "one process that is not compiled, in which blocks come and go. Set compile = false and start one process, "
            "or leave models.offload out."
        )
    stored = models.transformer is not None and is_stored_quantised(models.transformer)
    if (models.quantize is not None or stored) and count > 1:
        raise ProcessesError(
            f"The transformer is quantised, and {count} processes were started; expected one, since quantised matrices "
            "are not sent between processes. Start one process, or divide a transformer that is not quantised by FSDP."
        )
    if models.offload and (models.quantize is not None or stored):
        raise RelationAdapterError(
            "models.offload is true, and the transformer is quantised; expected weights in floating-point numbers to "
            "move. Leave one of the two out."
        )
    if training.trained == "everything" and stored:
        raise RelationAdapterError(
            f"{models.transformer} is quantised; expected weights in floating-point numbers to train every one of "
            "them. Train an adapter or a LoRA, or name a file that is not quantised."
        )
