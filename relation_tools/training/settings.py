"""What a training run is told. The defaults are the authors' settings (paper, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .settings_file import SettingsError


@dataclass(frozen=True)
class DataSettings:
    """Where samples come from."""

    train: Path
    """A run-ready ``.jsonl``."""
    cache: Path
    """A folder for latents, vision features and text, computed once; it may be shared by runs."""
    test: Path | None = None
    """A run-ready file for sample sheets and for the accuracy as training goes on."""
    long_side: int = 512
    """Pixels that sources and targets are brought to; 0 keeps their sizes."""
    exemplars: Literal["sample", "task"] = "sample"
    """Whose pair is the exemplar: the sample's own, or any other sample's of the same task, drawn anew each time."""


@dataclass(frozen=True)
class NewTransformer:
    """Sizes of a Flux that is made for the run, with heads of 128 as every FLUX.1 has."""

    heads: int
    double_blocks: int
    single_blocks: int
    text_dim: int
    pooled_text_dim: int = 768


@dataclass(frozen=True)
class ModelSettings:
    """The models of a run."""

    vae: Path
    """An autoencoder of 16 channels: FLUX.1's, or a TAESD in one file."""
    vision: Path
    """A SigLIP vision model with its pooling head."""
    transformer: Path | None = None
    """A FLUX.1: a folder in diffusers' layout, or one file. Left out where one is made (``new_transformer``)."""
    new_transformer: NewTransformer | None = None
    adapter: Path | None = None
    """An adapter's file to start from; without it, its weights are random."""
    text: Path | None = None
    """A folder with FLUX.1's text encoders and tokenizers in diffusers' layout. Without it, all text is zeros."""
    text_tokens: int = 512
    """Length of encoded text, in tokens; text of zeros has one."""

    def __post_init__(self) -> None:
        if (self.transformer is None) == (self.new_transformer is None):
            raise SettingsError(
                "Of models.transformer and models.new_transformer, give one: a Flux to start from, or the sizes of a "
                "new one."
            )


@dataclass(frozen=True)
class AdapterSettings:
    """Sizes of the adapter, beyond what the models say."""

    tokens: int = 128
    """Exemplar tokens a picture."""
    projection_dim: int = 2304
    """Hidden width of the projection; the released adapter has twice SigLIP's width."""


@dataclass(frozen=True)
class TrainingSettings:
    """How weights are trained."""

    trained: Literal["adapter", "adapter and lora", "everything"] = "adapter and lora"
    steps: int = 100_000
    batch_size: int = 4
    """Samples a step and process."""
    accumulate: int = 1
    """Batches a step."""
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: int = 0
    """First steps, in which the learning rate grows."""
    decay: int = 0
    """Last steps, in which it falls to 0."""
    max_gradient: float = 1.0
    """Norm that gradients are cut to."""
    precision: Literal["bf16", "no"] = "bf16"
    gradient_checkpointing: bool = True
    compile: bool = False
    """Compile the model before the first step, with torch.compile."""
    lora_rank: int = 128
    ema: float = 0.0
    """Decay of the moving average of the weights; 0 for none. The average is what is exported."""
    exemplar_dropout: float = 0.05
    """Share of the samples that are trained with empty exemplar features."""
    guidance: float = 3.5
    """What the model's guidance input is given."""
    times: Literal["logit-normal", "power"] = "logit-normal"
    """How noise levels t are drawn: as for FLUX.1 and SD3, or 1 - 0.95 u^2.5, most of them near pure noise."""

    def __post_init__(self) -> None:
        _check_counts(
            "training", {name: getattr(self, name) for name in ("steps", "batch_size", "accumulate", "lora_rank")}
        )
        shares = {name: getattr(self, name) for name in ("ema", "exemplar_dropout")}
        wrong = next((name for name, value in shares.items() if not 0.0 <= value < 1.0), None)
        if wrong is not None:
            raise SettingsError(f"training.{wrong} is {shares[wrong]}; expected a share, from 0 to below 1.")


@dataclass(frozen=True)
class RecordSettings:
    """What a run writes as it goes."""

    record_every: int = 50
    """Steps between two rows of the curve."""
    save_every: int = 500
    """Steps between two states."""
    keep: int = 2
    """States that are kept."""
    sheet_every: int = 2500
    """Steps between two sample sheets."""
    sheet_samples: int = 12
    sheet_steps: int = 24
    """Sampling steps of sheets and of the accuracy."""
    measured_samples: int = 0
    """Samples of the test file that the accuracy is measured on with each sheet; 0 for none."""
    export_every: int = 10_000
    """Steps between two exports."""
    export_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        counts = {name: value for name, value in vars(self).items() if name not in ("measured_samples", "export_dtype")}
        _check_counts("records", counts)


@dataclass(frozen=True)
class RunSettings:
    """A whole settings file."""

    output: Path
    data: DataSettings
    models: ModelSettings
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    seed: int = 0
    device: Literal["", "cpu"] = ""
    """``cpu`` to train on the processor; empty for what accelerate chooses."""


def _check_counts(table: str, counts: dict[str, int]) -> None:
    wrong = next((name for name, count in counts.items() if count < 1), None)
    if wrong is not None:
        raise SettingsError(f"{table}.{wrong} is {counts[wrong]}; expected a number from 1 on.")
