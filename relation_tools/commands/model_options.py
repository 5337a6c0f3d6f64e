"""Options that name models, which several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relation_core.settings.bounds import LORA_STRENGTH

from ..diffusers_host.settings import QUANTIZATIONS
from .number_option import NumberOption


def add_models(group: Any, required: bool = True) -> None:
    """Add the options for an edit's models, their device and their dtype; ``required``: the command needs models."""
    for name, needed, what in (
        ("model", True, "FLUX.1: a .safetensors or .gguf file, or a folder as diffusers saves it"),
        ("adapter", True, "the RelationAdapter, such as ip_adapter-100000.bin"),
        (
            "vision",
            False,
            "SigLIP, such as sigclip_vision_patch14_384.safetensors (needed to see pairs)",
        ),
        ("vae", False, "the autoencoder, such as ae.safetensors (that of --model, if it is a whole pipeline)"),
        ("text", False, "a pipeline's folder with text encoders (those of --model, if it has any; else no text)"),
    ):
        group.add_argument(f"--{name}", required=required and needed, type=Path, metavar="PATH", help=what)
    add_quantize(group)
    group.add_argument("--lora", action="append", default=[], type=Path, metavar="FILE", help="a LoRA; repeatable")
    group.add_argument(
        "--lora-strength",
        type=NumberOption(LORA_STRENGTH),
        default=1.0,
        metavar="NUMBER",
        help="of every LoRA (%(default)s)",
    )
    add_computing(group)
    group.add_argument(
        "--offload", action="store_true", help="keep only the model that is computing on the device, to save its memory"
    )
    group.add_argument(
        "--offload-blocks",
        action="store_true",
        help="and of FLUX.1 only the block that is computing, to save nearly all of it; every step fetches all blocks",
    )


def add_quantize(group: Any) -> None:
    """Add the option for a quantised transformer."""
    group.add_argument(
        "--quantize",
        choices=QUANTIZATIONS,
        help="quantise FLUX.1 as it is loaded, to need a half (int8, fp8) or a quarter (nf4) of its memory in bfloat16",
    )


def add_computing(group: Any) -> None:
    """Add the options for device and dtype."""
    group.add_argument("--device", default="auto", help="cuda, cuda:1, mps or cpu (the best available)")
    group.add_argument(
        "--dtype", choices=("auto", "bfloat16", "float16", "float32"), default="auto", help="(float32 on a CPU)"
    )


def add_fit(group: Any) -> None:
    """Add the option for how an exemplar is fitted to the vision model's square."""
    group.add_argument(
        "--fit", choices=("pad", "stretch"), default="pad", help="how an exemplar is made square (%(default)s)"
    )
