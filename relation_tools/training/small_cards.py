"""What makes a run small, and what it cannot be combined with."""

from __future__ import annotations

from relation_core.errors import RelationAdapterError

from ..diffusers_host.quantisation import (
    check_not_quantised_twice,
    check_quantization,
    is_stored_quantised,
    library,
)
from .processes import Processes, ProcessesError
from .settings import RunSettings


def check_small(settings: RunSettings, processes: Processes) -> None:
    """Refuse what cannot be trained in few bits, before anything is loaded.

    Raises:
        ProcessesError: as :func:`check_combination`.
        RelationAdapterError: likewise; or a library is missing, or the device cannot compute it.
    """
    check_combination(settings, processes.accelerator.num_processes, processes.divided)
    check_quantization(settings.models.quantize, settings.models.transformer, processes.accelerator.device)
    if settings.training.optimizer == "adamw 8-bit":
        library("bitsandbytes")


def check_combination(settings: RunSettings, count: int, divided: bool) -> None:
    """Refuse settings that cannot stand together in some number of processes, whatever the machine.

    Args:
        settings: of the run.
        count: how many processes there are.
        divided: whether FSDP divides the model among them.

    Raises:
        ProcessesError: a quantised transformer was to be copied to several processes, or divided among them, or a
            divided model was to be compiled, or to have moments in 8 bits; or offloading was to be compiled or shared.
        RelationAdapterError: a quantised transformer was to be trained, offloaded, or quantised again.
    """
    models, training = settings.models, settings.training
    if training.compile and divided:
        raise ProcessesError(
            "training.compile is on, and FSDP divides the model; expected one of them: they have not been seen to "
            "work together. Set compile = false, or start without FSDP."
        )
    if training.optimizer == "adamw 8-bit" and divided:
        raise ProcessesError(
            "training.optimizer is 'adamw 8-bit', and FSDP divides the weights; expected whole weights for moments "
            "in 8 bits. Set optimizer = 'adamw', whose moments FSDP divides too."
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
