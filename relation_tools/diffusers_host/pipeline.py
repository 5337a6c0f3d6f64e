"""The authors' edit from pictures to a picture, with diffusers as the host."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from relation_core.adapter.adapter import RelationAdapter
from relation_core.errors import ExemplarError, RelationAdapterError
from relation_core.flux.empty_prompt import empty_prompt
from relation_core.flux.schedule import level_at, relation_sigmas
from relation_core.flux.solvers import solver_called
from relation_core.flux.source import resize_source, source_size
from relation_core.pictures.tensors import from_pil, preview_pil, to_pil
from relation_core.progress import Progress
from relation_core.relation.limits import check_weight
from relation_core.relation.pairs import EncodedPairs, Pair, encode_pairs, encode_tokens
from relation_core.relation.relation import Relation
from relation_core.relation.relation_file import load_relation
from relation_core.tuning.flow import Predict
from relation_core.vision.exemplar import Fit
from relation_core.vision.vision_model import VisionModel

from .attention import ExemplarAttention
from .autoencoder import decode, encode
from .flow_predict import FlowPredict
from .models import Models, no_text_encoder, no_vision_model
from .offloading import Offload, place
from .sampling import Prompt, draw_noise, sample, token_grid
from .settings import EditSettings

_LARGE = 10**8
"""Weights above which activations are recomputed, so that only one block's are held at a time."""


class RelationPipeline:
    """Edits pictures.

    Args:
        models: the models, on the CPU.
        device: where to compute.
        offload: what waits in the machine's memory while it does not compute.
        learns: whether :meth:`predict` is called.
    """

    def __init__(
        self, models: Models, device: torch.device | str, offload: Offload | None = None, learns: bool = False
    ) -> None:
        self._flux: Any = models.flux
        self._adapter, self._vision = models.adapter, models.vision
        self._device = torch.device(device)
        self._dtype: torch.dtype = models.flux.transformer.dtype
        self._transformer: Any = models.flux.transformer
        place(models.flux, self._device, offload, learns)

    def relation(
        self, pairs: list[Pair], weights: list[float], fit: Fit = "pad", progress: Progress | None = None
    ) -> Relation:
        """Turn exemplar pairs into a relation.

        Args:
            pairs: pictures before and after, RGB.
            weights: one a pair, at least 0.
            fit: how a picture is brought to the vision model's square.
            progress: that of :func:`relation_core.relation.pairs.encode_pairs`; it may raise to stop.

        Raises:
            ExemplarError: there are no pairs, not as many weights or no vision model, or it is not the adapter's.
            CheckpointError: the adapter changed on disk.
        """
        if not pairs or len(weights) != len(pairs):
            raise ExemplarError(
                f"Got {len(pairs)} exemplar pairs and {len(weights)} weights; expected at least one pair, and as many "
                "weights. Give every pair its weight, or none."
            )
        for weight in weights:
            check_weight(weight)
        with self._seeing() as vision:
            relation = encode_pairs(self._adapter, vision, pairs, fit, 1.0, self._device, self._dtype, progress)
        return replace(relation, pair_weights=tuple(weights))

    def exemplars(self, pairs: list[Pair], fit: Fit, progress: Progress | None = None) -> EncodedPairs:
        """Turn any number of exemplar pairs into their tokens, without keys and values.

        Args:
            pairs: pictures before and after, RGB.
            fit: how a picture is brought to the vision model's square.
            progress: that of :func:`relation_core.relation.pairs.encode_tokens`; it may raise to stop.

        Raises:
            ExemplarError: there is no vision model, or it is not the adapter's.
            CheckpointError: the adapter changed on disk.
        """
        with self._seeing() as vision:
            return encode_tokens(self._adapter, vision, pairs, fit, self._device, self._dtype, progress)

    @contextmanager
    def _seeing(self) -> Generator[VisionModel]:
        """Give the vision model, on the device for as long as the block takes."""
        vision = self._vision
        if vision is None:
            raise no_vision_model()
        vision.model.to(self._device)
        try:
            yield vision
        finally:
            vision.model.to("cpu")

    def load_relation(self, path: Path, progress: Progress | None = None) -> Relation:
        """Read a relation file.

        Raises:
            CheckpointError: it is not a relation file, or is damaged.
            RelationMismatchError: it was made with another adapter.
        """
        return load_relation(path, self._adapter, self._device, progress)

    @property
    def adapter(self) -> RelationAdapter:
        """The adapter."""
        return self._adapter

    @property
    def device(self) -> torch.device:
        """Where the models compute."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """What the transformer computes in."""
        return self._dtype

    @torch.no_grad()
    def latent(self, picture: Image.Image, long_side: int) -> torch.Tensor:
        """Encode a picture, at the size that :meth:`edit` does: (16, rows, columns) float32 on the CPU."""
        size = source_size(picture.width, picture.height, long_side)
        return encode(self._flux.vae, resize_source(from_pil(picture), size), self._device)[0].cpu()

    @torch.no_grad()
    def pictures(self, latents: torch.Tensor) -> list[Image.Image]:
        """Decode latents (B, 16, rows, columns), to look at."""
        return preview_pil(decode(self._flux.vae, latents.to(self._device)))

    def predict(self, prompt: Prompt, guidance: float) -> Predict:
        """Return the transformer for learning: frozen and, if it is large, with gradient checkpointing by block."""
        if sum(parameter.numel() for parameter in self._transformer.parameters()) >= _LARGE:
            self._transformer.enable_gradient_checkpointing()
        return FlowPredict(self._transformer, prompt, guidance)

    @torch.no_grad()
    def prompt(self, text: str) -> Prompt:
        """Encode a prompt; without text encoders, return zeros for an empty one.

        Raises:
            RelationAdapterError: there is a text, and nothing to encode it with.
        """
        if self._flux.text_encoder is not None:
            embedded, pooled, _ = self._flux.encode_prompt(prompt=text, prompt_2=None, device=self._device)
            return Prompt(embedded, pooled)
        if text:
            raise no_text_encoder(text)
        sizes = self._flux.transformer.config
        return Prompt(*empty_prompt(sizes["joint_attention_dim"], sizes["pooled_projection_dim"]))

    def edit(
        self,
        relation: Relation,
        source: Image.Image,
        prompt: Prompt,
        settings: EditSettings,
        progress: Progress | None = None,
    ) -> Image.Image:
        """Edit a picture.

        Args:
            relation: from :meth:`relation`.
            source: the picture, RGB.
            prompt: from :meth:`prompt`.
            settings: how to sample.
            progress: one step a sampling step; its total is up to the caller. It may raise to stop.

        Raises:
            RelationAdapterError: what the models computed is no picture.
        """
        with torch.no_grad():
            latent = self.edit_latent(relation, source, prompt, settings, progress)
            edited = decode(self._flux.vae, latent)
        self._flux.maybe_free_model_hooks()
        if not bool(edited.isfinite().all()):
            raise RelationAdapterError(
                f"The models computed NaN or infinite values in {self._dtype}; expected a picture. Compute in bfloat16 "
                "or float32, or lower the strength."
            )
        return to_pil(edited)[0]

    @torch.no_grad()
    def edit_latent(
        self,
        relation: Relation,
        source: Image.Image,
        prompt: Prompt,
        settings: EditSettings,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Edit a picture, as :meth:`edit` does, up to the latent (1, 16, rows, columns), float32 where it computes."""
        image = from_pil(source)
        full = source_size(source.width, source.height, settings.long_side)
        small = source_size(source.width, source.height, settings.long_side, settings.source_scale)
        clean = encode(self._flux.vae, resize_source(image, small), self._device)
        noise = draw_noise((1, clean.shape[1], full[1] // 8, full[0] // 8), settings.seed).to(self._device)
        rows, columns = token_grid(noise)
        double, single = (settings.strength * part for part in (settings.double_strength, settings.single_strength))
        exemplars = ExemplarAttention.of_relation(relation, self._device, self._dtype, double, single)
        return sample(
            self._flux.transformer,
            prompt,
            clean,
            noise,
            relation_sigmas(settings.steps, rows * columns),
            settings.guidance,
            exemplars,
            (level_at(settings.start), level_at(settings.end)),
            progress,
            settings.refresh_every,
            solver_called(settings.solver),
            settings.reuse_8bit,
        )
