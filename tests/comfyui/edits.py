"""Graphs of the authors' edit on the small golden models, with every part open to variation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from comfyui_host.graph import Graph, Node
from comfyui_host.host import Host

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES = ("one_head", "two_heads")
POSITIONS_ONLY = {"strength": 1e-30}
"""Source positions as with a relation, but nothing that a float32 could hold is added."""
SHIFT, SCALE = 0.1159, 0.3611  # FLUX.1's latent space


def install_golden(host: Host) -> None:
    """Put the golden models and pictures, and a small autoencoder, where ComfyUI looks for them."""
    for case in CASES:
        for kind, file in (
            ("diffusion_models", "transformer.safetensors"),
            ("loras", "pytorch_lora_weights.safetensors"),
            ("relation_adapter", "ip_adapter.bin"),
        ):
            target = host.model_folder(kind) / case
            target.mkdir()
            shutil.copy(GOLDEN / case / file, target / file)
        shutil.copytree(GOLDEN / case / "vision", host.model_folder("clip_vision") / case)
        for picture in ("before.png", "after.png", "source.png"):
            shutil.copy(GOLDEN / case / picture, host.input_folder / f"{case}_{picture}")
    save_file(_small_autoencoder(), host.model_folder("vae") / "small.safetensors")


def _small_autoencoder() -> dict[str, torch.Tensor]:
    from comfy.taesd.taesd import TAESD

    return random_state(TAESD(latent_channels=16), seed=0)


def random_state(module: torch.nn.Module, seed: int, gain: float = 1.0) -> dict[str, torch.Tensor]:
    """Random weights for one of ComfyUI's modules, which leaves new weights as they lie in memory."""
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.ndim > 1:
            state[name] = gain * torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
        elif tensor.ndim == 1:
            state[name] = torch.zeros(tensor.shape) if name.endswith("bias") else torch.ones(tensor.shape)
    return state


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


class Edit:
    """One golden case as a graph. Parts are methods; each adds its nodes and returns the last of them."""

    def __init__(self, host: Host, case: str = "one_head") -> None:
        self.host = host
        self.case = case
        self.graph = Graph()
        self.meta: dict[str, Any] = json.loads((GOLDEN / case / "meta.json").read_text())
        self.tensors = load_file(GOLDEN / case / "case.safetensors")
        self._values = 0

    def value(self, value: Any) -> Node:
        self._values += 1
        return self.host.value(self.graph, f"value{self._values}", value)

    def model(self, name: str | None = None, weight_dtype: str = "default") -> Node:
        """The golden Flux with its LoRA, or another one as it is."""
        file = name or f"{self.case}/transformer.safetensors"
        model = self.graph.add("UNETLoader", unet_name=file, weight_dtype=weight_dtype)
        return model if name else self.lora(model)

    def lora(self, model: Any, strength: float = 1.0) -> Node:
        name = f"{self.case}/pytorch_lora_weights.safetensors"
        return self.graph.add("LoraLoaderModelOnly", model=model, lora_name=name, strength_model=strength)

    def adapter(self) -> Node:
        return self.graph.add(
            "LoadRelationAdapter",
            adapter_name=f"{self.case}/ip_adapter.bin",
            vision_name=f"{self.case}/model.safetensors",
        )

    def picture(self, name: str) -> Node:
        return self.graph.add("LoadImage", image=f"{self.case}_{name}.png")

    def relation(self, before: Any = None, after: Any = None, **inputs: Any) -> Node:
        inputs = {"fit": "pad", "weight": 1.0, "relation_adapter": None, **inputs}
        inputs["relation_adapter"] = inputs["relation_adapter"] or self.adapter()
        before, after = before or self.picture("before"), after or self.picture("after")
        return self.graph.add("RelationExemplarEncode", before=before, after=after, **inputs)

    def apply(self, model: Any, relation: Any, **inputs: Any) -> Node:
        defaults = {
            "strength": self.meta["scale"],
            "start_percent": 0.0,
            "end_percent": 1.0,
            "double_strength": 1.0,
            "single_strength": 1.0,
        }
        return self.graph.add("ApplyRelationAdapter", model=model, relation=relation, **{**defaults, **inputs})

    def text(self, seed: int | None = None, **values: Any) -> Node:
        """The golden prompt, or another one by seed, with further conditioning values."""
        text, pooled = self.tensors["text"], self.tensors["pooled"]
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
            text = torch.randn(text.shape, generator=generator)
            pooled = torch.randn(pooled.shape, generator=generator)
        return self.value([[text, {"pooled_output": pooled, "guidance": self.meta["guidance"], **values}]])

    def source_latent(self) -> torch.Tensor:
        """The golden source as a VAE gives it."""
        return self.tensors["source_latent"] / SCALE + SHIFT

    def with_source(self, conditioning: Any, latent: torch.Tensor | None = None) -> Node:
        """Add a source through the core's own node."""
        latent = self.source_latent() if latent is None else latent
        return self.graph.add("ReferenceLatent", conditioning=conditioning, latent=self.value({"samples": latent}))

    def latent(self, batch: int = 1, size: tuple[int, int] | None = None) -> Node:
        rows, columns = size or self.tensors["noise"].shape[-2:]
        return self.value({"samples": torch.zeros(batch, 16, rows, columns)})

    def noise(self, seed: int | None = None, batch: int = 1, size: tuple[int, int] | None = None) -> torch.Tensor:
        if seed is None:
            return self.tensors["noise"]
        rows, columns = size or self.tensors["noise"].shape[-2:]
        return torch.randn(batch, 16, rows, columns, generator=torch.Generator().manual_seed(seed))

    def sample(
        self,
        model: Any,
        conditioning: Any = None,
        *,
        noise: torch.Tensor | None = None,
        latent: Any = None,
        guider: Any = None,
        sigmas: Any = None,
        sampler: Any = "euler",
        steps: int | None = None,
    ) -> Node:
        """The authors' sampling: their schedule, Euler, no classifier-free guidance; ``sampler``: a name or a node."""
        noise = self.noise() if noise is None else noise
        latent = latent or self.latent(noise.shape[0], tuple(noise.shape[-2:]))
        steps = steps or int(self.meta["steps"])
        sigmas = sigmas or self.graph.add("RelationScheduler", steps=steps, latent=latent, denoise=1.0)
        guider = guider or self.graph.add("BasicGuider", model=model, conditioning=conditioning)
        return self.graph.add(
            "SamplerCustomAdvanced",
            noise=self.graph.add("ProbeNoise", tensor=self.value(noise)),
            guider=guider,
            sampler=self.graph.add("KSamplerSelect", sampler_name=sampler) if isinstance(sampler, str) else sampler,
            sigmas=sigmas,
            latent_image=latent,
        )

    def attention(self, model: Any, conditioning: Any, **sampling: Any) -> dict[tuple[str, int], list[torch.Tensor]]:
        """Sample one step and return every block's attention (rows, tokens, width): text, target, source tokens."""
        self._values += 1
        name = f"attention{self._values}"
        watched = self.graph.add("ProbeAttention", model=model, name=name)
        latent = self.latent()
        schedule = self.graph.add("RelationScheduler", steps=4, latent=latent, denoise=1.0)
        sigmas = self.graph.add("SplitSigmas", sigmas=schedule, step=1)
        self.run(self.sample(watched, conditioning, latent=latent, sigmas=sigmas, **sampling))
        return self.host.store.pop(name)

    def run(self, *nodes: Any) -> Any:
        """Execute, and return the values (of latents: the samples) of the nodes."""
        names = {f"out{index}": node for index, node in enumerate(nodes)}
        values = self.host.run(self.graph, **names)
        values = values if len(nodes) > 1 else [values]
        values = [value["samples"] if isinstance(value, dict) else value for value in values]
        return values if len(nodes) > 1 else values[0]
