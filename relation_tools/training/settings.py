"""What a training run is told. The defaults are the authors' settings (paper, section 4.1)."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo
from pydantic.dataclasses import dataclass

from relation_core.settings.bounds import (
    COUNT,
    COUNT_OR_NONE,
    GUIDANCE,
    LEARNING_RATE,
    LONG_SIDE,
    SAMPLING_STEPS,
    Bounds,
)

from ..diffusers_host.settings import Quantization
from .settings_file import SettingsError

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return path if info.context is None else info.context / path


def _within(bounds: Bounds) -> Any:
    above, least = (bounds.low, None) if bounds.above else (None, bounds.low)
    return Field(strict=True, gt=above, ge=least, le=bounds.high)


File = Annotated[Path, AfterValidator(_beside_the_file)]
"""Read from a settings file, it is relative to that file's folder, which is the context of the validation."""
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, _within(COUNT)]
CountOrNone = Annotated[int, _within(COUNT_OR_NONE)]
LongSide = Annotated[int, _within(LONG_SIDE)]
SamplingSteps = Annotated[int, _within(SAMPLING_STEPS)]
Seed = Annotated[int, _within(Bounds(0, 2**63 - 1, whole=True))]
"""Up to what TOML holds."""
Rate = Annotated[float, _within(LEARNING_RATE)]
Guidance = Annotated[float, _within(GUIDANCE)]
Positive = Annotated[float, _within(Bounds(0.0, above=True))]
NotNegative = Annotated[float, _within(Bounds(0.0))]
Trained = Literal["adapter", "adapter and lora", "lora", "keys and values", "projection", "everything"]
WITH_LORA: tuple[Trained, ...] = ("adapter and lora", "lora")
Share = Annotated[float, Field(strict=True, ge=0.0, lt=1.0)]


@dataclass(frozen=True, config=_CONFIG)
class DataSettings:
    """Where samples come from."""

    train: File
    """A run-ready `.jsonl` file."""
    cache: File
    """A folder for latents, vision features and text, which are computed once. Runs may share it."""
    test: File | None = None
    """A run-ready file for sample sheets and the accuracy."""
    long_side: LongSide = 512
    """Longer side of sources and targets in pixels; 0 keeps their sizes. A batch holds one size."""
    exemplars: Literal["sample", "task"] = "sample"
    """`sample` uses the sample's own exemplar; `task` draws another pair of the same task each time."""


@dataclass(frozen=True, config=_CONFIG)
class NewTransformer:
    """Sizes of a Flux that is made for the run, with heads of 128 as every FLUX.1 has."""

    heads: Count
    """Attention heads of a new Flux, which is trained from random weights in place of `models.transformer`."""
    double_blocks: Count
    """Its double blocks."""
    single_blocks: Count
    """Its single blocks."""
    text_dim: Count
    """Width of its text tokens."""
    pooled_text_dim: Count = 768
    """Width of its pooled text."""


@dataclass(frozen=True, config=_CONFIG)
class ModelSettings:
    """The models of a run."""

    vae: File
    """An autoencoder of 16 channels: FLUX.1's, or a TAESD in one file."""
    vision: File
    """A SigLIP vision model with its pooling head."""
    transformer: File | None = None
    """A FLUX.1: a folder in diffusers' layout, or one file. Give it, or the sizes of a new one."""
    new_transformer: NewTransformer | None = None
    adapter: File | None = None
    """An adapter file to start from; without it, its weights are random."""
    lora: File | None = None
    """A LoRA file to go on from, of `training.lora_rank`; its layers are those of the file. Where no LoRA is trained,
    it is a part of the frozen Flux."""
    quantize: Quantization | None = None
    """What the matrices of the frozen Flux are quantised to, to need less memory."""
    offload: Flag = False
    """The blocks of the frozen Flux wait in the machine's memory, and only the one that computes is on the card. Takes
    time, changes nothing else, and needs one process, gradient checkpointing and a Flux that is not quantised."""
    text: File | None = None
    """A folder with FLUX.1's text encoders and tokenizers in diffusers' layout. Without it, all text is zeros."""
    text_tokens: Count = 512
    """Length of an encoded text, in tokens."""

    def __post_init__(self) -> None:
        if (self.transformer is None) == (self.new_transformer is None):
            raise SettingsError(
                "Of models.transformer and models.new_transformer, give one: a Flux to start from, or the sizes of a "
                "new one."
            )


@dataclass(frozen=True, config=_CONFIG)
class AdapterSettings:
    """Sizes of the adapter, beyond what the models say."""

    tokens: Count = 128
    """Exemplar tokens per picture."""
    projection_dim: Count = 2304
    """Hidden width of the projection; the released adapter has twice SigLIP's width."""


@dataclass(frozen=True, config=_CONFIG)
class TrainingSettings:
    """How weights are trained."""

    trained: Trained = "adapter and lora"
    """The weights that are trained. `everything` is all of the Flux and the adapter; `lora`, `keys and values`
    and `projection` are a part alone, beside `models.adapter`."""
    steps: Count = 100_000
    """Length of the run; it may be made longer later."""
    batch_size: Count = 4
    """Samples of a step, on all GPUs together: 4 GPUs take one each, as in the paper."""
    accumulate: Count = 1
    """Parts in which each GPU computes its share of a batch, one after another, to save memory."""
    learning_rate: Rate = 1e-4
    """Of AdamW."""
    weight_decay: NotNegative = 0.01
    """Of AdamW."""
    optimizer: Literal["adamw", "adamw 8-bit"] = "adamw"
    """`adamw 8-bit` keeps the two moments of each weight in 8 bits, by bitsandbytes."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """What trained weights are held in. `bfloat16` halves weights and gradients, but loses changes below 0.4 % of a
    weight; it needs `ema = 0`."""
    warmup: CountOrNone = 0
    """Number of first steps, in which the learning rate rises."""
    decay: CountOrNone = 0
    """Number of last steps, in which it falls to 0."""
    max_gradient: Positive = 1.0
    """Norm that gradients are cut to."""
    precision: Literal["bf16", "no"] = "bf16"
    """What is computed in; `no` is float32. With `bf16`, frozen weights are bfloat16."""
    gradient_checkpointing: Flag = True
    """Compute activations again in the backward pass, to save memory."""
    compile: Flag = False
    """Compile the model first with `torch.compile`, which needs a C++ compiler. It takes a minute; the small model then
    trains 1.6 times as fast on a CPU."""
    lora_rank: Count = 128
    """Of the LoRA on the projections to queries, keys and values, as in the authors' file: 19 x 6 + 38 x 3 matrices of
    3072 x 3072 in float32 are its 717 MB."""
    ema: Share = 0.0
    """Decay of the weights' moving average, which is then sampled and exported; 0 for none."""
    exemplar_dropout: Share = 0.05
    """Share of samples whose exemplar features are set to zero."""
    guidance: Guidance = 3.5
    """What the model's guidance input is given."""
    times: Literal["logit-normal", "power"] = "logit-normal"
    """How noise levels t are drawn: as for FLUX.1 and SD3, or t = 1 - 0.95 u^2.5, most of them near pure noise."""


@dataclass(frozen=True, config=_CONFIG)
class RecordSettings:
    """What a run writes as it goes."""

    record_every: Count = 50
    """Steps between two rows of the curve."""
    save_every: Count = 500
    """Steps between two states."""
    keep: Count = 2
    """States that are kept; each has the size of three or four times the trained weights."""
    sheet_every: Count = 2500
    """Steps between two sample sheets."""
    sheet_samples: Count = 12
    """Samples on a sheet."""
    sheet_steps: SamplingSteps = 24
    """Sampling steps of sheets and of the accuracy."""
    measured_samples: CountOrNone = 0
    """Samples of the test file that the accuracy is measured on with each sheet; 0 for none. Every source must then
    appear under several tasks."""
    export_every: Count = 10_000
    """Steps between two exports."""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Of these, what follows the run beside `curve.csv`; TensorBoard's files are in `output`. Needs
    `pip install '.[trackers]'`."""
    export_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Of the exported weights."""


@dataclass(frozen=True, config=_CONFIG)
class RunSettings:
    """A whole settings file."""

    output: File
    """A folder for the curve, states, sheets and exports."""
    data: DataSettings
    models: ModelSettings
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    seed: Seed = 0
    """Of everything random: new weights, samples, noise, noise levels and dropout."""
    device: Literal["", "cpu"] = ""
    """Trains on the processor; left out, accelerate chooses."""

    def __post_init__(self) -> None:
        models, training = self.models, self.training
        if training.trained == "everything" and models.quantize is not None:
            raise SettingsError(
                f"models.quantize is '{models.quantize}', and training.trained is 'everything'; expected a frozen "
                "transformer to quantise. Leave models.quantize out, or train an adapter or a LoRA."
            )
        if models.offload and (training.trained == "everything" or not training.gradient_checkpointing):
            raise SettingsError(
                f"models.offload is true, with trained = '{training.trained}' and gradient_checkpointing = "
                f"{str(training.gradient_checkpointing).lower()}; expected a frozen transformer, whose blocks are "
                "called again for their gradients. Leave models.offload out, or train an adapter or a LoRA, with "
                "gradient_checkpointing = true."
            )
        if training.trained in ("lora", "keys and values", "projection") and models.adapter is None:
            raise SettingsError(
                f"training.trained is '{training.trained}', and models.adapter is not given; expected the adapter "
                "whose other weights stay as they are. Name its file, or train all of the adapter."
            )
        if training.weights == "bfloat16" and (training.precision != "bf16" or training.ema):
            raise SettingsError(
                f"training.weights is 'bfloat16', with precision = '{training.precision}' and ema = {training.ema}; "
                "expected precision = 'bf16', and no moving average, all of whose changes bfloat16 would round away. "
                "Set ema = 0, or weights = 'float32'."
            )
        if models.lora is not None and training.trained == "everything":
            raise SettingsError(
                "models.lora is given, and training.trained is 'everything'; expected 'adapter and lora' to go on from "
                "the LoRA, or 'adapter' to train on top of it. To train every weight, merge the LoRA into the model."
            )
