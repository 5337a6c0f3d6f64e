"""The text encoders of FLUX.1, CLIP-L and T5-XXL, in a pipeline that encodes prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

from relation_core.errors import CheckpointError


def open_text_encoders(folder: Path, dtype: torch.dtype, transformer: Any = None, vae: Any = None) -> FluxPipeline:
    """Load the text encoders, their tokenizers and the scheduler of a pipeline, from the disk alone.

    Args:
        folder: a FLUX.1 pipeline as diffusers saves it.
        dtype: what the encoders compute in.
        transformer: of the pipeline; the one in the folder is not read.
        vae: likewise.

    Raises:
        CheckpointError: the folder has no text encoders, or one that cannot be read.
    """
    kind: Any = FluxPipeline
    try:
        return kind.from_pretrained(folder, transformer=transformer, vae=vae, dtype=dtype, local_files_only=True)
    except Exception as error:  # both libraries, and the readers below them, raise whatever they run into
        raise CheckpointError(
            f"{folder} does not hold FLUX.1's text encoders ({error}). Expected the folder of a whole pipeline, with "
            "model_index.json, text_encoder, text_encoder_2, tokenizer and tokenizer_2."
        ) from error
