"""The model of drawn scenes in a ComfyUI in this process, by the loaders for files of one's own."""

from __future__ import annotations

import shutil

from comfyui_host.graph import Graph, Node
from comfyui_host.host import Host

from .model import ADAPTER, AUTOENCODER, FLUX, FOLDER, VISION

_NAME = FOLDER.name
_FILES = {
    "diffusion_models": (FLUX,),
    "vae": (AUTOENCODER,),
    "relation_adapter": (ADAPTER,),
    "clip_vision": (VISION, VISION.with_name("config.json")),
}


def install(host: Host) -> None:
    """Put the model's files where ComfyUI looks for them."""
    for kind, files in _FILES.items():
        folder = host.model_folder(kind) / _NAME
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)


def add_loaders(graph: Graph) -> tuple[Node, Node, Node]:
    """Add what loads it to a graph: model, VAE and adapter."""
    return (
        graph.add("UNETLoader", unet_name=f"{_NAME}/{FLUX.name}", weight_dtype="default"),
        graph.add("VAELoader", vae_name=f"{_NAME}/{AUTOENCODER.name}"),
        graph.add("LoadRelationAdapter", adapter_name=f"{_NAME}/{ADAPTER.name}", vision_name=f"{_NAME}/{VISION.name}"),
    )
