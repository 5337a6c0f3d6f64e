"""The recipes for Relation252K carry the plans that the command makes of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import nn

from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.vision.vision_file import SO400M, expected_vision_shapes
from relation_tools.training.lora import LORA_LAYERS
from relation_tools.training.planning.command import plan_lines
from relation_tools.training.planning.plan import Launch
from relation_tools.training.settings import RunSettings
from relation_tools.training.settings_file import read_settings

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
RECIPES = sorted(CONFIGS.glob("relation252k_*.toml"))
RELEASED = RelationConfig(57, 24, 128, 128, 4096, 1152, 2304)
COMMAND = re.compile(r"# relation-adapter train --plan configs/(\S+) (.+)")


Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(model: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def hollow(path: Path, shapes: Shapes, size: int) -> Path:
    """A weights file of a model's full size, which takes no room on the disk: it has a header and a hole."""
    header: dict[str, Any] = {}
    place = 0
    for name, shape in shapes.items():
        end = place + math.prod(shape) * size
        kind = "BF16" if size == 2 else "F32"
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
    return path


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """FLUX.1-dev, its autoencoder, SigLIP so400m, the released adapter and its LoRA, by their sizes."""
    folder = tmp_path_factory.mktemp("full")
    with torch.device("meta"):
        flux = FluxTransformer2DModel(guidance_embeds=True)
        autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=16,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
    assert math.isclose(sum(tensor.numel() for tensor in flux.state_dict().values()), 11.9e9, rel_tol=0.01)
    return {
        "transformer": hollow(folder / "flux.safetensors", shapes_of(flux), 2),
        "vae": hollow(folder / "ae.safetensors", shapes_of(autoencoder), 4),
        "vision": hollow(folder / "siglip.safetensors", expected_vision_shapes(SO400M), 2),
        "adapter": hollow(folder / "adapter.safetensors", expected_shapes(RELEASED), 2),
        "lora": hollow(folder / "lora.safetensors", lora_shapes(flux), 4),
        "text": text_encoders(folder / "text"),
    }


def lora_shapes(flux: nn.Module, rank: int = 128) -> Shapes:
    """Of a LoRA on the layers that the released one has."""
    layers = [name for name, _ in flux.named_modules() if name.rpartition(".")[2] in LORA_LAYERS]
    shapes: dict[str, tuple[int, ...]] = {}
    for name in layers:
        above, below = flux.get_submodule(name).weight.shape
        shapes[f"transformer.{name}.lora_A.weight"] = (rank, below)
        shapes[f"transformer.{name}.lora_B.weight"] = (above, rank)
    assert 4 * sum(map(math.prod, shapes.values())) == 717_225_984
    return shapes


def text_encoders(folder: Path) -> Path:
    """What a plan looks at of a pipeline's: that they are there."""
    for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"):
        (folder / part).mkdir(parents=True)
    index = {part: ["transformers", "Encoder"] for part in ("text_encoder", "text_encoder_2")}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    for part in index:
        hollow(folder / part / "model.safetensors", {"shared.weight": (1, 1)}, 4)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=[path.stem for path in RECIPES])
def test_a_recipe_fits_as_it_says(recipe: Path, full_size: dict[str, Path]) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    number, command = next((n, found) for n, line in enumerate(lines) if (found := COMMAND.fullmatch(line)))
    assert command[1] == recipe.name
    options = command[2].split()
    said: list[str] = []
    for line in lines[number + 2 :]:
        if not line.startswith("#"):
            break
        said.append(line.removeprefix("#").removeprefix(" "))
    settings = read_settings(recipe, RunSettings)
    files = {name: file if getattr(settings.models, name) else None for name, file in full_size.items()}
    settings = replace(settings, models=replace(settings.models, **files))
    processes = int(options[options.index("--processes") + 1]) if "--processes" in options else 1
    found = plan_lines(settings, Launch(processes, "--fsdp" in options), float(options[options.index("--card") + 1]))
    print("\n" + "\n".join(f"# {line}".rstrip() for line in found))
    assert said == [line.rstrip() for line in found]
    assert found[-1].startswith("It fits, with ")


def test_there_are_recipes_for_three_sizes() -> None:
    assert [path.stem.removeprefix("relation252k_") for path in RECIPES] == ["16gb", "24gb", "8x80gb"]
    for recipe in RECIPES:
        assert read_settings(recipe, RunSettings).data.long_side == 512
