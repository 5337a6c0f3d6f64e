"""What makes a run small, and what it cannot be combined with."""

from __future__ import annotations

from relation_core.errors import RelationAdapterError

from ..diffusers_host.quantisation import check_quantization, is_stored_quantised, library
from .processes import Processes, ProcessesError
from .settings import RunSettings


def check_small(settings: RunSettings, processes: Processes) -> None:
    """Refuse what cannot be trained in few bits, before anything is loaded.

    Raises:
        ProcessesError: a quantised transformer was to be copied to several processes, or divided among them, or a
            divided model was to be compiled.
        RelationAdapterError: a library is missing, or the device cannot compute it.
    """
    models, accelerator = settings.models, processes.accelerator
    if settings.training.compile and processes.divided:
        raise ProcessesError(
            "training.compile is on, and FSDP divides the model; expected one of them: they have not been seen to "
            "work together. Set compile = false, or start without FSDP."
        )
    check_quantization(models.quantize, models.transformer, accelerator.device)
    if settings.training.optimizer == "adamw 8-bit":
        library("bitsandbytes")
        if processes.divided:
            raise ProcessesError(
                "training.optimizer is 'adamw 8-bit', and FSDP divides the weights; expected whole weights for moments "
                "in 8 bits. Set optimizer = 'adamw', whose moments FSDP divides too."
            )
    stored = models.transformer is not None and is_stored_quantised(models.transformer)
    if (models.quantize is not None or stored) and accelerator.num_processes > 1:
        raise ProcessesError(
            f"The transformer is quantised, and {accelerator.num_processes} processes were started; expected one, "
            "since quantised matrices are not sent between processes. Start one process, or divide a transformer that "
            "is not quantised by FSDP."
        )
    if settings.training.trained == "everything" and stored:
        raise RelationAdapterError(
            f"{models.transformer} is quantised; expected weights in floating-point numbers to train every one of "
            "them. Train an adapter or a LoRA, or name a file that is not quantised."
        )
