"""The memory that one step of Tune Relation takes beside the weights: ``python -m benchmarks.tuning_step``.

A Flux of FLUX.1-dev's width with few blocks, the released adapter's sizes, one pair, bfloat16; through ComfyUI's own
Flux, as the node does. What all 57 blocks take is computed from it: each further block adds what goes into it, and its
exemplars' keys and values with their gradients. Minutes, 3 GB of disk and 8 GB of memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from relation_core.flux.sizes import LATENT_CHANNELS
from relation_core.settings.bounds import LONG_SIDE
from relation_tools.commands.number_option import NumberOption

from .comfyui import start_comfyui
from .memory import PeakMemory, give_back_freed, memory
from .sizes import BY_NAME, Sizes
from .step import BASE, StepModels
from .synthetic import write_adapter

BLOCKS = 19, 38
"""Double- and single-stream blocks of FLUX.1."""
BOUND_SIDE, BOUND_GB = 512, 4.0
"""What all blocks may take at most, at so many pixels."""


@dataclass(frozen=True)
class Step:
    """What one step took, in bytes beside the weights."""

    side: int
    measured: int
    asked: int
    """What the node asks ComfyUI for."""
    whole_measured: int
    """The measured step, and what further blocks add."""
    whole_asked: int


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning_step", description=__doc__)
    parser.add_argument("--sizes", choices=BY_NAME, default="full")
    parser.add_argument("--sides", nargs="+", type=NumberOption(LONG_SIDE), default=[128, 512], help="pixels")
    options = parser.parse_args()
    sizes = replace(BY_NAME[options.sizes], pairs=(1,))
    blocks = f"{sizes.depth} + {sizes.depth_single}"
    whole = f"{BLOCKS[0]} + {BLOCKS[1]} blocks"
    sys.stdout.write(f"| picture | {blocks} blocks, measured | asked for | {whole}, computed | asked for | at most |\n")
    sys.stdout.write("| --- | --- | --- | --- | --- | --- |\n")
    with tempfile.TemporaryDirectory(prefix="tuning-") as folder:
        for step in measure(Path(folder), sizes, options.sides):
            figures = (step.measured, step.asked, step.whole_measured, step.whole_asked)
            bound = f"{BOUND_GB:.0f} GB" if step.side == BOUND_SIDE else ""
            shown = " | ".join(f"{number / 1e9:.2f} GB" for number in figures)
            sys.stdout.write(f"| {step.side} | {shown} | {bound} |\n")
            sys.stdout.flush()


def measure(folder: Path, sizes: Sizes, sides: list[int]) -> Iterator[Step]:
    """Take a few steps at each size of picture, and look at the last one."""
    host = start_comfyui(folder / "comfyui")
    config = replace(sizes.adapter, blocks=sizes.depth + sizes.depth_single)
    write_adapter(folder / "adapter.bin", config)
    adapter = host.module("relation_core.adapter.adapter").open_adapter(folder / "adapter.bin")
    model = StepModels(host, sizes, torch.bfloat16).variants[BASE]
    tokens = torch.randn(1, 2 * config.tokens, config.text_dim, generator=torch.Generator().manual_seed(5))
    for side in sides:
        yield _step(host, sizes, side, model, adapter, tokens)


def _step(host: Any, sizes: Sizes, side: int, model: Any, adapter: Any, tokens: torch.Tensor) -> Step:
    flow, settings = (host.module(f"relation_core.tuning.{name}") for name in ("flow", "settings"))
    generator = torch.Generator().manual_seed(6)
    latents = torch.randn(2, LATENT_CHANNELS, side // 8, side // 8, generator=generator)
    pairs = [flow.LatentPair(*latents)]
    text = torch.randn(1, sizes.text_tokens, sizes.adapter.text_dim, generator=generator)
    prompt = [[text, {"pooled_output": torch.randn(1, sizes.pooled_dim, generator=generator), "guidance": 3.5}]]
    batch = flow.samples_at_once(pairs[0], settings.TuningSettings().batch_size)  # what is held at one time
    chosen = settings.TuningSettings(steps=2, batch_size=batch)
    learning = host.module("nodes.tuning_model").learning_model(
        model, prompt, pairs, tokens.shape[1], chosen.batch_size
    )
    with learning as predict:
        learner = host.module("relation_core.tuning.learner").Learner(
            *(predict, adapter.weights(), adapter.config, tokens, None, pairs, [], chosen),
            *(predict.device, torch.bfloat16),
        )
        learner.take_step()  # warms up
        give_back_freed()
        before = memory().anonymous
        with PeakMemory() as watched:
            learner.take_step()
    measured = watched.peak.anonymous - before
    learning_bytes = host.module("nodes.tuning_memory").learning_bytes
    all_blocks = {**sizes.flux, "depth": BLOCKS[0], "depth_single_blocks": BLOCKS[1]}
    known = pairs, sizes.text_tokens, tokens.shape[1], chosen.batch_size, torch.bfloat16.itemsize
    asked, whole_asked = (learning_bytes(one, *known) for one in (sizes.flux, all_blocks))
    return Step(side, measured, asked, measured + whole_asked - asked, whole_asked)


if __name__ == "__main__":
    main()
