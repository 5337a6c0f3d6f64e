"""ComfyUI's Flux for learning a relation: frozen, on its device, and unchanged afterwards."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
import torch

from ..relation_core.tuning.attended import Attended
from ..relation_core.tuning.flow import LatentPair
from ..relation_core.tuning.settings import TuningError
from .frozen_weights import FrozenWeights
from .model_check import flux_sizes, unreached
from .run_check import check_prompts, check_reference_method
from .tuning_memory import learning_bytes
from .tuning_patch import attending_to, register_learning

_UNTAUGHT = ("reference_latents", "area", "mask", "control", "hooks", "gligen", "start_percent", "end_percent", "model")
"""Conditioning keys that depend on a picture or on a point in sampling."""


@dataclass(frozen=True)
class HostPredict:
    """A :class:`..relation_core.tuning.flow.Predict`."""

    patcher: Any
    """The patched clone of the user's model."""
    conds: list[dict[str, Any]]
    """The prompt, as the host's sampling takes it."""
    options: dict[str, Any]
    frozen: FrozenWeights
    memory: float
    """Bytes that learning takes besides the weights."""

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return self.patcher.load_device

    def load(self) -> None:
        """Load the model onto its device, again if need be."""
        comfy.model_management.load_models_gpu([self.patcher], memory_required=self.memory)

    def __call__(
        self, noisy: torch.Tensor, source: torch.Tensor, levels: torch.Tensor, attended: Attended | None
    ) -> torch.Tensor:
        """Predict the velocity, noise - target: (B, 16, h, w) float32; raise the host's exception if interrupted."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        (prompt,) = self.conds
        known = {**prompt["model_conds"], "ref_latents": comfy.conds.CONDList([source])}
        conds = [[{**prompt, "model_conds": known}]]
        with attending_to(attended) as call, self.frozen:
            (denoised,) = comfy.samplers.calc_cond_batch(self.patcher.model, conds, noisy, levels, self.options)
        if not call.reached:
            raise unreached(self.patcher.model)
        return (noisy - denoised) / levels.view(-1, 1, 1, 1)


@contextmanager
def learning_model(
    model: Any, conditioning: list[Any], pairs: list[LatentPair], tokens: int, batch_size: int
) -> Generator[HostPredict]:
    """Yield a model (a ``ModelPatcher``) to learn through, outside of inference mode; it is not changed.

    Args:
        model: must already be checked to fit the adapter.
        conditioning: the prompt.
        pairs: what is learned from.
        tokens: exemplar tokens that are learned.
        batch_size: samples a step.

    Raises:
        TuningError: the conditioning is more than one plain prompt.
        SamplingInputError: the prompt is not FLUX.1's, or the model's method of reference latents is not.
    """
    _check_conditioning(conditioning)
    patched = model.clone()
    frozen = FrozenWeights()
    register_learning(patched, frozen)
    conds = {"positive": comfy.sampler_helpers.convert_cond(conditioning)}
    check_prompts(conds, flux_sizes(model))
    check_reference_method("positive", {}, model)  # the sources are reference latents; the prompt's method is not used
    options = comfy.model_patcher.create_model_options_clone(patched.model_options)
    comfy.sampler_helpers.prepare_model_patcher(patched, conds, options)
    text = conditioning[0][0].shape[1]
    item = model.model.get_dtype_inference().itemsize
    memory = learning_bytes(flux_sizes(model), pairs, text, tokens, batch_size, item)
    comfy.model_management.load_models_gpu([patched], memory_required=memory)
    frozen.copy_cast = _partly_elsewhere(patched)
    was_training = comfy.model_management.in_training
    try:
        patched.pre_run()
        shape = torch.zeros(1, *pairs[0].source.shape, device=patched.load_device)
        conds = comfy.samplers.process_conds(patched.model, shape, conds, patched.load_device)
        comfy.model_management.in_training = True
        with torch.inference_mode(False):
            yield HostPredict(patched, conds["positive"], options, frozen, memory)
    finally:
        comfy.model_management.in_training = was_training
        patched.cleanup()


def _check_conditioning(conditioning: list[Any]) -> None:
    found = sorted({name for _, values in conditioning for name in _UNTAUGHT if name in values})
    if len(conditioning) == 1 and not found:
        return
    what = f"it has {', '.join(found)}" if found else f"it has {len(conditioning)} entries"
    raise TuningError(
        f"The conditioning is not a plain prompt: {what}. A relation is learned from whole pictures with one prompt at "
        "all noise levels. Connect the text encoder's output itself (with Flux Guidance, if you like)."
    )


def _partly_elsewhere(patched: Any) -> bool:
    """Whether ComfyUI loads weights as they are needed."""
    dynamic = getattr(patched, "is_dynamic", None)
    elsewhere = any(part.device != patched.load_device for part in patched.model.diffusion_model.parameters())
    return elsewhere or bool(dynamic and dynamic())
