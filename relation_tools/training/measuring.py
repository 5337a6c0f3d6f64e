"""The accuracy of model files on a held-out dataset, compared with that without the right exemplars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch

from relation_core.adapter.adapter import open_adapter
from relation_core.progress import Progress
from relation_core.settings.bounds import COUNT, GUIDANCE, LONG_SIDE, SAMPLING_STEPS, SEED, check_settings

from ..diffusers_host.lora_file import read_lora
from ..diffusers_host.models import ModelFiles, load_fused_transformer
from ..diffusers_host.quantisation import check_quantization, quantise
from .accuracy import Accuracy, make_questions, measure
from .adapter_module import AdapterModule
from .flow import RelationFlow
from .flow_sampling import Exemplars, edit_with
from .models import load_encoders
from .picture_cache import open_cache
from .training_data import labelled_samples

SHOWN: tuple[Exemplars, ...] = ("own", "wrong", "blank", "none")


@dataclass(frozen=True)
class MeasuringOptions:
    """How the accuracy is measured."""

    cache: Path
    """A folder for latents and vision features of the dataset's pictures."""
    samples: Annotated[int, COUNT] = 500
    tasks: tuple[str, ...] = ()
    """Only samples of these tasks; other tasks' targets stay what a result can be mistaken for."""
    long_side: Annotated[int, LONG_SIDE] = 512
    steps: Annotated[int, SAMPLING_STEPS] = 24
    guidance: Annotated[float, GUIDANCE] = 3.5
    seed: Annotated[int, SEED] = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)


def measure_files(
    file: Path, models: ModelFiles, options: MeasuringOptions, progress: Progress
) -> dict[Exemplars, Accuracy]:
    """Measure with a sample's own exemplars, with those of another relation, with white pictures, and at strength 0.

    Args:
        file: a run-ready ``.jsonl`` in which every source stands under several tasks.
        models: what is measured; there is no text.
        options: how.
        progress: told of every picture of the dataset that is encoded.

    Raises:
        CheckpointError: a model file is not what it should be.
        ModelMismatchError: the models do not fit each other.
        DatasetError: the dataset cannot be used.
    """
    check_quantization(models.quantize, models.model, options.device)
    encoders = load_encoders(models.vae or models.model, models.vision_file(), options.device)
    flow = load_flow(models, options.guidance, options.device)
    samples, tasks = labelled_samples(file)
    cache = open_cache(options.cache, file.parent, samples, options.long_side, encoders, progress)
    questions = make_questions(samples, tasks, cache, options.samples, options.seed, options.tasks)
    found: dict[Exemplars, Accuracy] = {}
    for shown in SHOWN:
        edit = edit_with(flow, encoders, cache, options.steps, options.seed, shown)
        found[shown] = measure(questions, cache, edit)
    return found


def load_flow(files: ModelFiles, guidance: float, device: str = "cpu") -> RelationFlow:
    """Load a transformer, with its LoRA, and the adapter onto a device, in float32 but for what is quantised."""
    opened = open_adapter(files.adapter)
    loras = [read_lora(path) for path in files.loras]
    transformer: Any = load_fused_transformer(files.model, loras, opened.config, torch.float32)
    if files.quantize is not None:
        quantise(transformer, files.quantize, device)
    adapter = AdapterModule(opened.config, silent=False)
    adapter.load(opened)
    return RelationFlow(transformer, adapter, guidance).eval().requires_grad_(False).to(device)
