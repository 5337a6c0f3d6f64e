"""Small models around the golden ones: autoencoders, text encoders, and the same transformer in every form."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, FlowMatchEulerDiscreteScheduler, FluxPipeline
from golden_case import GoldenCase
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from relation_tools.diffusers_host.models import ModelFiles


def golden_files(case: GoldenCase, folder: Path, lora: bool = True) -> ModelFiles:
    """The golden models as they lie in the repository, with a tiny autoencoder of random weights."""
    return ModelFiles(
        model=case.folder / "transformer.safetensors",
        adapter=case.folder / "ip_adapter.bin",
        vision=case.folder / "vision" / "model.safetensors",
        vae=tiny_autoencoder(folder / "tiny.safetensors"),
        loras=(case.folder / "pytorch_lora_weights.safetensors",) if lora else (),
    )


def tiny_autoencoder(path: Path, channels: int = 16, **scalars: float) -> Path:
    """A tiny autoencoder of random weights in TAESD's layout, its decoder counted from the layer without weights."""
    torch.manual_seed(0)
    module = AutoencoderTiny(latent_channels=channels)
    tensors = {name: torch.tensor(value) for name, value in scalars.items()}
    for name, tensor in module.state_dict().items():
        part, _, index, rest = name.split(".", 3)
        tensors[f"taesd_{part}.{int(index) + (part == 'decoder')}.{rest}"] = tensor
    save_file(tensors, path)
    return path


def full_autoencoder(seed: int = 0) -> AutoencoderKL:
    """FLUX.1's own architecture, narrow."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def pipeline_folder(case: GoldenCase, folder: Path) -> Path:
    """A whole pipeline as diffusers saves it: the golden transformer, and text encoders of its widths."""
    letters = string.ascii_lowercase
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -2.0) for letter in f"\u2581{letters}")]
    torch.manual_seed(1)
    clip = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=case.meta["pooled_dim"],
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    t5 = T5Config(vocab_size=len(pieces), d_model=case.meta["text_dim"], d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=full_autoencoder(),
        text_encoder=CLIPTextModel(clip),
        tokenizer=CLIPTokenizer(
            vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77
        ),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=T5TokenizerFast(vocab=pieces, extra_ids=0),
        transformer=case.transformer(lora=False),
    )
    pipeline.save_pretrained(folder)
    return folder


def original_names(path: Path) -> dict[str, torch.Tensor]:
    """A transformer in diffusers' names under the original ones, which ComfyUI's files have."""
    tensors = load_file(path)
    renamed: dict[str, torch.Tensor] = {}

    def move(name: str, *sources: str, parts: tuple[str, ...] = ("weight", "bias")) -> None:
        for part in parts:
            values = [tensors.pop(f"{source}.{part}") for source in sources]
            renamed[f"{name}.{part}"] = torch.cat(values)

    def move_norm(name: str, source: str) -> None:
        renamed[f"{name}.scale"] = tensors.pop(f"{source}.weight")

    for name, source in (("time_in", "timestep"), ("guidance_in", "guidance"), ("vector_in", "text")):
        move(f"{name}.in_layer", f"time_text_embed.{source}_embedder.linear_1")
        move(f"{name}.out_layer", f"time_text_embed.{source}_embedder.linear_2")
    move("txt_in", "context_embedder")
    move("img_in", "x_embedder")
    move("final_layer.linear", "proj_out")
    for part in ("weight", "bias"):  # scale and shift stand the other way round
        scale, shift = tensors.pop(f"norm_out.linear.{part}").chunk(2)
        renamed[f"final_layer.adaLN_modulation.1.{part}"] = torch.cat((shift, scale))
    for index in range(sum(1 for name in tensors if name.endswith(".norm1.linear.bias"))):
        block, old = f"double_blocks.{index}", f"transformer_blocks.{index}"
        streams = (
            ("img", "norm1", "to_", "", "ff", "to_out.0"),
            ("txt", "norm1_context", "add_", "_proj", "ff_context", "to_add_out"),
        )
        for stream, modulation, before, after, mlp, output in streams:
            move(f"{block}.{stream}_mod.lin", f"{old}.{modulation}.linear")
            move(f"{block}.{stream}_attn.qkv", *(f"{old}.attn.{before}{kind}{after}" for kind in "qkv"))
            move(f"{block}.{stream}_attn.proj", f"{old}.attn.{output}")
            move(f"{block}.{stream}_mlp.0", f"{old}.{mlp}.net.0.proj")
            move(f"{block}.{stream}_mlp.2", f"{old}.{mlp}.net.2")
            added = "added_" if stream == "txt" else ""
            move_norm(f"{block}.{stream}_attn.norm.query_norm", f"{old}.attn.norm_{added}q")
            move_norm(f"{block}.{stream}_attn.norm.key_norm", f"{old}.attn.norm_{added}k")
    for index in range(sum(1 for name in tensors if name.endswith(".norm.linear.bias"))):
        block, old = f"single_blocks.{index}", f"single_transformer_blocks.{index}"
        move(f"{block}.modulation.lin", f"{old}.norm.linear")
        move(f"{block}.linear1", *(f"{old}.attn.to_{kind}" for kind in "qkv"), f"{old}.proj_mlp")
        move(f"{block}.linear2", f"{old}.proj_out")
        move_norm(f"{block}.norm.query_norm", f"{old}.attn.norm_q")
        move_norm(f"{block}.norm.key_norm", f"{old}.attn.norm_k")
    assert not tensors, sorted(tensors)
    return renamed
