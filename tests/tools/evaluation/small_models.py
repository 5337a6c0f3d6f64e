"""Small models with random weights, saved as users get the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import torch

DIM, HEADS, LAYERS, SIDE, PATCH, PROJECTION = 32, 4, 3, 28, 7, 16
MEAN, DEVIATION = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def save_clip(folder: Path, seed: int = 0, words: bool = True) -> Path:
    """A CLIP; without ``words`` it has no tokenizer."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": DIM, "intermediate_size": 2 * DIM, "num_attention_heads": HEADS, "initializer_factor": 5.0}
    vision = {**sizes, "num_hidden_layers": LAYERS, "image_size": SIDE, "patch_size": PATCH}
    letters = [chr(ord("a") + number) for number in range(26)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    count = len(vocabulary)
    ends = {"bos_token_id": count - 2, "eos_token_id": count - 1, "pad_token_id": count - 1}
    text = {**sizes, **ends, "num_hidden_layers": 1, "vocab_size": count, "max_position_embeddings": 12}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION)).save_pretrained(folder)
    size = {"shortest_edge": SIDE}
    CLIPImageProcessor(
        size=size, crop_size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=DEVIATION
    ).save_pretrained(folder)
    if words:
        (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def save_dino(folder: Path, kind: str = "dinov2", seed: int = 0) -> Path:
    """A DINOv2, or the ViT without a pooler that DINO is."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model, ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": DIM, "num_attention_heads": HEADS, "num_hidden_layers": 2, "image_size": SIDE}
    if kind == "dinov2":
        Dinov2Model(Dinov2Config(**sizes, patch_size=PATCH, initializer_range=0.5)).save_pretrained(folder)
        crop = {"height": SIDE, "width": SIDE}
        BitImageProcessor(size={"shortest_edge": 32}, crop_size=crop).save_pretrained(folder)
    else:
        config = ViTConfig(**sizes, patch_size=PATCH, intermediate_size=DIM, initializer_range=0.5)
        ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
        ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_trunk(file: Path, seed: int = 0) -> Path:
    """AlexNet's convolutions as torchvision names them, without the classifier, which LPIPS does not use."""
    torch.manual_seed(seed)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    tensors: dict[str, torch.Tensor] = {}
    for layer, shape in shapes.items():
        tensors[f"features.{layer}.weight"] = torch.randn(shape) / (shape[1] * shape[2]) ** 0.5
        tensors[f"features.{layer}.bias"] = torch.randn(shape[0]) / 10
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, file)
    return file
