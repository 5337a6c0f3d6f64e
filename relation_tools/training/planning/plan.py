"""What a run holds on the card, in the machine's memory and on the disk, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch

from relation_core.errors import DatasetError
from relation_core.flux.sizes import LATENT_CHANNELS
from relation_core.flux.source import source_size
from relation_core.pictures.picture_file import read_picture
from relation_core.samples.samples import read_samples
from relation_core.vision.vision_file import vision_config

from ...diffusers_host.text_encoders import check_text_encoders
from ...diffusers_host.vision_model import vision_file
from ..processes import samples_at_once
from ..settings import RunSettings
from ..small_cards import check_combination
from .base import Base, base_of, encoders_bytes
from .fake_step import Batch, StepBytes, step_bytes

Place = Literal["card", "machine", "disk"]
_EIGHT_BIT = 2 * (1 + 4 / 256)
"""Bytes of a weight's moments in 8 bits: a float32 for every 256."""
_UPDATED_ON_A_CPU = {"float32": 20, "bfloat16": 24}
"""Bytes of a weight of the tensor that bitsandbytes updates in 8 bits on a CPU, by its code: five or six float32."""
_LIBRARIES = 800_000_000
"""What CUDA and its libraries take of a card: an estimate."""
_SIZED = 200
"""Samples whose pictures are looked at where pictures keep their sizes."""


@dataclass(frozen=True)
class Launch:
    """How a run is started."""

    processes: int = 1
    divided: bool = False
    """By FSDP2."""
    cpu: bool = False


@dataclass(frozen=True)
class Row:
    """A part of what a run holds."""

    place: Place
    name: str
    nbytes: int


@dataclass(frozen=True)
class Plan:
    """All of it."""

    rows: tuple[Row, ...]
    samples: int
    """A process computes at once."""

    def total(self, place: Place) -> int:
        """The bytes of one place."""
        return sum(row.nbytes for row in self.rows if row.place == place)


def make_plan(settings: RunSettings, launch: Launch) -> Plan:
    """Plan a run from its settings and the headers of its files.

    What training refuses for its settings or for its files' headers is refused here too.

    Raises:
        CheckpointError: a model file is not what it should be.
        ModelMismatchError: the LoRA has another rank, or is for another transformer.
        DatasetError: pictures keep their sizes, and there are none.
        ProcessesError: the processes cannot share the batch or the models.
        RelationAdapterError: settings cannot stand together.
    """
    training = settings.training
    check_combination(settings, launch.processes, "FSDP" if launch.divided else None)
    low = torch.bfloat16 if training.precision == "bf16" and training.trained != "everything" else torch.float32
    base = base_of(settings, low)
    vision = vision_config(vision_file(settings.models.vision))
    if settings.models.text is not None:
        check_text_encoders(settings.models.text)
    at_once = samples_at_once(training.batch_size, launch.processes, training.accumulate)
    width, height = _largest(settings)
    batch = Batch(at_once, width, height, 1 if settings.models.text is None else settings.models.text_tokens)
    all_at_once = training.accumulate > 1 or launch.processes > 1
    step = step_bytes(settings, base, vision.hidden_size, batch, all_at_once)
    encoders = encoders_bytes(settings, vision)
    rows = (
        *_on_the_card(settings, launch, base, step, encoders),
        *_elsewhere(settings, base, step, batch, vision.hidden_size),
    )
    return Plan(rows, at_once)


def _on_the_card(settings: RunSettings, launch: Launch, base: Base, step: StepBytes, encoders: int) -> list[Row]:
    training, share = settings.training, launch.processes if launch.divided else 1
    whole = training.trained == "everything"
    away = settings.models.offload and not launch.cpu
    kind = "one block at a time" if away else settings.models.quantize or ("as in its file" if base.packed else "")
    transformer = base.outside + base.largest if away else base.nbytes
    frozen = (0 if whole else transformer) + step.frozen_beside
    gathered = base.largest + 2 * step.largest if launch.divided else 0
    averaged = step.trained // share if training.ema else 0
    activations = step.activations + _decoded(settings, base)
    once, later = max(
        (averaged, "weights put by while the average is exported"),
        (_updated_on_a_cpu(settings, step) if launch.cpu else 0, "the tensor that is updated, decoded"),
    )
    rows = [
        ("frozen weights" + (f", {kind}" if kind else ""), frozen // share),
        ("trained weights", step.trained // share),
        ("gradients", step.trained // share),
        (f"moments, {training.optimizer}", _moments(settings, step) // share),
        ("moving average", averaged),
        ("activations", activations),
        ("gathered while they compute", gathered),
        (later, max(0, once - activations)),
        ("autoencoder and vision model", encoders),
        ("CUDA and its libraries, estimated", 0 if launch.cpu else _LIBRARIES),
    ]
    return [Row("card", name, nbytes) for name, nbytes in rows if nbytes]


def _moments(settings: RunSettings, step: StepBytes) -> int:
    if settings.training.optimizer == "adamw 8-bit":
        return int(step.trained_weights * _EIGHT_BIT)
    return 2 * step.trained


def _updated_on_a_cpu(settings: RunSettings, step: StepBytes) -> int:
    """What AdamW in 8 bits takes while it updates the largest tensor; on a card it takes next to nothing."""
    training = settings.training
    if training.optimizer == "adamw":
        return 0
    return step.largest // getattr(torch, training.weights).itemsize * _UPDATED_ON_A_CPU[training.weights]


def _decoded(settings: RunSettings, base: Base) -> int:
    """What quantised matrices take decoded; gradients keep those of a GGUF, of one block if there are checkpoints."""
    if base.decoded_whole:
        return base.largest if settings.training.gradient_checkpointing else base.decoded
    return base.largest // 4 if settings.models.quantize is not None or base.packed else 0


def _elsewhere(settings: RunSettings, base: Base, step: StepBytes, batch: Batch, vision_dim: int) -> list[Row]:
    records, training = settings.records, settings.training
    state = step.trained * (2 if training.ema else 1) + _moments(settings, step)
    picture = LATENT_CHANNELS * (batch.width // 8) * (batch.height // 8) * 2 + vision_dim * 4
    text = 0 if settings.models.text is None else batch.text_tokens * base.config["joint_attention_dim"] * 2
    size = getattr(torch, records.export_dtype).itemsize
    waiting = "the transformer, whose blocks wait there"
    return [
        Row("machine", waiting if settings.models.offload else "the transformer while it is loaded", base.file_bytes),
        Row("disk", f"{records.keep + 1} states, one of them unfinished", (records.keep + 1) * state),
        Row("disk", "exports", step.exported_weights * size),
        *_cache(settings, picture, text),
    ]


def _cache(settings: RunSettings, picture: int, text: int) -> list[Row]:
    """Of the dataset, or of each picture and text where that is not there yet."""
    if not settings.data.train.is_file():
        return [Row("disk", "cache, of each picture", picture), Row("disk", "cache, of each text", text)]
    samples = list(read_samples(settings.data.train))
    pictures, texts = ({*chain(*(one.pictures for one in samples))}, {one.text for one in samples})
    size = len(pictures) * picture + len(texts) * text
    return [Row("disk", f"cache of {len(pictures):,} pictures and {len(texts):,} texts", size)]


def _largest(settings: RunSettings) -> tuple[int, int]:
    """The largest picture that is trained on: a square, or where sizes are kept the largest of the first samples."""
    side = settings.data.long_side
    if side:
        return source_size(side, side, side)
    if not settings.data.train.is_file():
        raise DatasetError(
            f"data.long_side is 0, and there is no {settings.data.train}; expected pictures, whose sizes say what a "
            "step takes. Build the dataset first, or set data.long_side."
        )
    sizes: set[tuple[int, int]] = set()
    for _, sample in zip(range(_SIZED), read_samples(settings.data.train), strict=False):
        picture = read_picture(settings.data.train.parent / sample.pictures[-1])
        sizes.add(source_size(picture.width, picture.height, 0))
    return max(sizes, key=lambda size: size[0] * size[1])
