"""The ``LoadSmallRelationModel`` node."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.utils
from comfy_api.latest import io

from ..relation_core.adapter.adapter import open_adapter
from ..relation_core.errors import CheckpointError
from ..relation_core.files.file_state import file_state
from ..relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, FOLDER, VISION
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket
from .vision_tower import load_vision_tower


class LoadSmallRelationModel(io.ComfyNode):
    """Load the small model that comes with the pack; no other node lists its files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="LoadSmallRelationModel",
            display_name="Load Small Relation Model",
            category=CATEGORY,
            description="Loads the small model that comes with this pack, 23 MB in all. Try everything with it, "
            "without a download. It knows only the painted landscapes of Example Pictures.",
            search_aliases=["relation adapter", "try", "demo", "small flux", "example"],
            is_experimental=True,
            inputs=[],
            outputs=[
                io.Model.Output(
                    "model", display_name="model", tooltip="A small Flux, for Empty Relation Prompt and a sampler."
                ),
                io.Vae.Output("vae", display_name="vae", tooltip="Its autoencoder."),
                RelationAdapterSocket.Output(
                    "relation_adapter", display_name="relation_adapter", tooltip="For Encode Relation Exemplars."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls) -> object:
        """Reload when the pack was updated."""
        return [file_state(file) for file in _files() if file.is_file()]

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Load the four files."""
        for file in _files():
            if not file.is_file():
                raise CheckpointError(
                    f"There is no file '{file.name}' in {FOLDER}. It comes with the pack: reinstall the pack."
                )
        model = comfy.sd.load_diffusion_model(str(FLUX))
        vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(AUTOENCODER)))
        return io.NodeOutput(model, vae, LoadedRelationAdapter(open_adapter(ADAPTER), load_vision_tower(VISION)))


def _files() -> tuple[Path, ...]:
    return FLUX, ADAPTER, VISION, AUTOENCODER
