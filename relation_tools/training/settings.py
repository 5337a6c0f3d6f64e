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
    """A run-ready ``.jsonl``."""
    cache: File
    """A folder for latents, vision features and text, computed once; it may be shared by runs."""
    test: File | None = None
    """A run-ready file for sample sheets and for the accuracy as training goes on."""
    long_side: LongSide = 512
    """Pixels that sources and targets are brought to; 0 keeps their sizes."""
    exemplars: Literal["sample", "task"] = "sample"
    """Whose pair is the exemplar: the sample's own, or any other sample's of the same task, drawn anew each time."""


@dataclass(frozen=True, config=_CONFIG)
class NewTransformer:
    """Sizes of a Flux that is made for the run, with heads of 128 as every FLUX.1 has."""

    heads: Count
    double_blocks: Count
    single_blocks: Count
    text_dim: Count
    pooled_text_dim: Count = 768


@dataclass(frozen=True, config=_CONFIG)
class ModelSettings:
    """The models of a run."""

    vae: File
    """An autoencoder of 16 channels: FLUX.1's, or a TAESD in one file."""
    vision: File
    """A SigLIP vision model with its pooling head."""
    transformer: File | None = None
    """A FLUX.1: a folder in diffusers' layout, or one file. Left out where one is made (``new_transformer``)."""
    new_transformer: NewTransformer | None = None
    adapter: File | None = None
    """An adapter's file to start from; without it, its weights are random."""
    lora: File | None = None
    """A LoRA to go on from; where no LoRA is trained, it is a part of the frozen transformer."""
    quantize: Quantization | None = None
    """What the matrices of the frozen transformer are quantised to, to need less memory."""
    text: File | None = None
    """A folder with FLUX.1's text encoders and tokenizers in diffusers' layout. Without it, all text is zeros."""
    text_tokens: Count = 512
    """Length of encoded text, in tokens; text of zeros has one."""

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
    """Exemplar tokens a picture."""
    projection_dim: Count = 2304
    """Hidden width of the projection; the released adapter has twice SigLIP's width."""


@dataclass(frozen=True, config=_CONFIG)
class TrainingSettings:
    """How weights are trained."""

    trained: Trained = "adapter and lora"
    steps: Count = 100_000
    batch_size: Count = 4
    """Samples a step, of all processes and accumulated parts together; the paper's 4 lie on 4 GPUs."""
    accumulate: Count = 1
    """Parts that each process computes its share of a batch in, one after another, to need less memory."""
    learning_rate: Rate = 1e-4
    weight_decay: NotNegative = 0.01
    optimizer: Literal["adamw", "adamw 8-bit"] = "adamw"
    """AdamW with its two moments in float32, or in 8 bits, by bitsandbytes."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """What trained weights are held in. In bfloat16 a change below 0.4 % of a weight is lost."""
    warmup: CountOrNone = 0
    """First steps, in which the learning rate grows."""
    decay: CountOrNone = 0
    """Last steps, in which it falls to 0."""
    max_gradient: Positive = 1.0
    """Norm that gradients are cut to."""
    precision: Literal["bf16", "no"] = "bf16"
    gradient_checkpointing: Flag = True
    compile: Flag = False
    """Compile the model before the first step, with torch.compile."""
    lora_rank: Count = 128
    ema: Share = 0.0
    """Decay of the moving average of the weights; 0 for none. The average is what is exported."""
    exemplar_dropout: Share = 0.05
    """Share of the samples that are trained with empty exemplar features."""
    guidance: Guidance = 3.5
    """What the model's guidance input is given."""
    times: Literal["logit-normal", "power"] = "logit-normal"
    """How noise levels t are drawn: as for FLUX.1 and SD3, or 1 - 0.95 u^2.5, most of them near pure noise."""


@dataclass(frozen=True, config=_CONFIG)
class RecordSettings:
    """What a run writes as it goes."""

    record_every: Count = 50
    """Steps between two rows of the curve."""
    save_every: Count = 500
    """Steps between two states."""
    keep: Count = 2
    """States that are kept."""
    sheet_every: Count = 2500
    """Steps between two sample sheets."""
    sheet_samples: Count = 12
    sheet_steps: SamplingSteps = 24
    """Sampling steps of sheets and of the accuracy."""
    measured_samples: CountOrNone = 0
    """Samples of the test file that the accuracy is measured on with each sheet; 0 for none."""
    export_every: Count = 10_000
    """Steps between two exports."""
    export_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"


@dataclass(frozen=True, config=_CONFIG)
class RunSettings:
    """A whole settings file."""

    output: File
    data: DataSettings
    models: ModelSettings
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    seed: Seed = 0
    device: Literal["", "cpu"] = ""
    """``cpu`` to train on the processor; empty for what accelerate chooses."""

    def __post_init__(self) -> None:
        models, training = self.models, self.training
        if training.trained == "everything" and models.quantize is not None:
            raise SettingsError(
                f"models.quantize is '{models.quantize}', and training.trained is 'everything'; expected a frozen "
                "transformer to quantise. Leave models.quantize out, or train an adapter or a LoRA."
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
