"""The ``TuneRelation`` node."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch
from comfy_api.latest import io

from ..relation_core.adapter.adapter import RelationAdapter
from ..relation_core.flux.source import check_latent, resize_rgb, source_size
from ..relation_core.pictures.loss_curve import draw_loss_curve
from ..relation_core.pictures.tensors import flatten_alpha, from_pil, rgb_to_pil
from ..relation_core.relation.learned import Learned
from ..relation_core.relation.pairs import encode_tokens, pair_up
from ..relation_core.relation.relation import Relation
from ..relation_core.settings.bounds import LEARNING_RATE, LONG_SIDE, SEED
from ..relation_core.tuning.flow import LatentPair
from ..relation_core.tuning.pairs import (
    Start,
    check_keys_values,
    check_latents,
    check_pairs,
    check_start,
    in_relations,
    learned_relation,
    showing,
    start_relation,
)
from ..relation_core.tuning.settings import BATCH_SIZE, LEARNING_STEPS, TuningSettings
from .checked_numbers import numbers_checked
from .graph_origin import MODEL_NAMES, TEXT_NAMES, upstream_text
from .host_progress import HostProgress
from .model_check import check_model, compute_dtype
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket, RelationSocket
from .tuning_run import learn

_DEFAULTS = TuningSettings()


class TuneRelation(io.ComfyNode):
    """Learn a relation from a few pairs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="TuneRelation",
            display_name="Tune Relation",
            category=CATEGORY,
            description="Learns an edit from a few pairs of pictures. Only the exemplar tokens are learned: the model "
            "stays unchanged, and the result is an ordinary relation.",
            search_aliases=["relation adapter", "train", "learn", "finetune", "textual inversion", "lora"],
            inputs=[
                io.Model.Input("model", tooltip="FLUX.1, with the adapter's LoRA and whatever you will sample with."),
                RelationAdapterSocket.Input("relation_adapter", tooltip="From Load RelationAdapter."),
                io.Vae.Input("vae", tooltip="FLUX.1's autoencoder (ae.safetensors)."),
                io.Conditioning.Input(
                    "conditioning",
                    tooltip="The prompt that describes the edit. Use the same one when you apply the relation.",
                ),
                io.Image.Input("before", tooltip="The pictures before the edit, as a batch."),
                io.Image.Input("after", tooltip="The same pictures after the edit, in the same order and size."),
                io.Int.Input(
                    "steps", default=_DEFAULTS.steps, min=1, max=int(LEARNING_STEPS.high), tooltip="Steps of learning."
                ),
                io.Float.Input(
                    "learning_rate",
                    default=_DEFAULTS.learning_rate,
                    min=0.0001,
                    max=LEARNING_RATE.high,
                    step=0.0001,
                    tooltip="At the first step, as a share of the size of the exemplar tokens. It falls to 0.",
                ),
                io.Int.Input(
                    "seed",
                    default=_DEFAULTS.seed,
                    min=0,
                    max=int(SEED.high),
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="Of noise and order.",
                ),
                io.Int.Input(
                    "long_side",
                    default=512,
                    min=0,
                    max=int(LONG_SIDE.high),
                    step=16,
                    tooltip="The pictures' longer side in pixels; the other one follows. The adapter was trained at "
                    "512. 0 keeps the pictures' size. Sides are cut to multiples of 16.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=_DEFAULTS.batch_size,
                    min=1,
                    max=int(BATCH_SIZE.high),
                    optional=True,
                    tooltip="Samples a step: pairs, each at a noise level of its own. Fewer are faster and learn less "
                    "surely; of small pictures, they also need less memory.",
                    advanced=True,
                ),
                RelationSocket.Input(
                    "relation",
                    optional=True,
                    tooltip="A relation from the same adapter to start from. Without it, learning starts from what the "
                    "pairs say.",
                ),
            ],
            outputs=[
                RelationSocket.Output(
                    "relation", display_name="relation", tooltip="The learned edit, for Apply RelationAdapter."
                ),
                io.Image.Output("curve", display_name="curve", tooltip="The loss of every step."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        )

    @classmethod
    @numbers_checked
    def execute(
        cls,
        model: Any,
        relation_adapter: LoadedRelationAdapter,
        vae: Any,
        conditioning: list[Any],
        before: torch.Tensor,
        after: torch.Tensor,
        steps: int,
        learning_rate: float,
        seed: int,
        long_side: int,
        batch_size: int = _DEFAULTS.batch_size,
        relation: Relation | None = None,
    ) -> io.NodeOutput:
        """Check everything, encode the pairs, learn."""
        settings = TuningSettings(steps, learning_rate, batch_size, seed)
        adapter = relation_adapter.adapter
        start, latents = _encoded(model, relation_adapter, vae, before, after, relation, long_side)
        learned = learn(model, vae, conditioning, adapter, start, latents, settings)
        name = (
            upstream_text(cls.hidden.prompt, cls.hidden.unique_id, "model", MODEL_NAMES) or type(model.model).__name__
        )
        text = upstream_text(cls.hidden.prompt, cls.hidden.unique_id, "conditioning", TEXT_NAMES)
        origin, device = Learned(len(latents), steps, text, name), comfy.model_management.get_torch_device()
        dtype = _dtype(model)
        result = learned_relation(adapter, start, learned.tokens, origin, device, dtype, HostProgress())
        return io.NodeOutput(result, from_pil(draw_loss_curve(learned.losses)))


def _encoded(
    model: Any,
    loaded: LoadedRelationAdapter,
    vae: Any,
    before: torch.Tensor,
    after: torch.Tensor,
    relation: Relation | None,
    long_side: int,
) -> tuple[Start, list[LatentPair]]:
    """Check and encode the pairs; their pictures are not held."""
    before, after = flatten_alpha(before), flatten_alpha(after)
    start = _start(model, loaded, before, after, relation)
    return start, _latents(model, vae, before, after, long_side)


def _start(
    model: Any,
    loaded: LoadedRelationAdapter,
    before: torch.Tensor,
    after: torch.Tensor,
    relation: Relation | None,
) -> Start:
    """Check the pairs and the model, and make the tokens that learning starts from."""
    pairs = pair_up(rgb_to_pil(before), rgb_to_pil(after))
    check_pairs(pairs)
    adapter: RelationAdapter = loaded.adapter
    check_model(model, adapter.config)
    if relation is not None:
        return showing(check_start(relation, adapter), pairs)
    device, dtype = comfy.model_management.get_torch_device(), _dtype(model)
    start = start_relation(
        *(
            encode_tokens(adapter, loaded.vision, part, "pad", device, dtype, HostProgress())
            for part in in_relations(pairs)
        )
    )
    check_keys_values(adapter, start, device, HostProgress())
    return start


def _dtype(model: Any) -> torch.dtype:
    return compute_dtype(model) or torch.float32


def _latents(model: Any, vae: Any, before: torch.Tensor, after: torch.Tensor, long_side: int) -> list[LatentPair]:
    """Encode pictures (P, height, width, 3) before and after the edit; an interrupt is heeded after each."""
    progress = HostProgress()
    progress.start(2 * len(before))
    latents: list[LatentPair] = []
    for place in range(len(before)):
        pair: list[torch.Tensor] = []
        for images in (before, after):
            pair.append(_latent(model, vae, images[place : place + 1], long_side))
            progress.step()
        latents.append(LatentPair(*pair))
    check_latents(latents)
    return latents


def _latent(model: Any, vae: Any, image: torch.Tensor, long_side: int) -> torch.Tensor:
    """Encode a picture (1, height, width, 3) into the model's latent space: (16, rows, columns) float32 on the CPU."""
    size = source_size(image.shape[2], image.shape[1], long_side)
    latent = vae.encode(resize_rgb(image, size))
    check_latent(latent)
    return model.model.process_latent_in(latent)[0].to("cpu", torch.float32)
