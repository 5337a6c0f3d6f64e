"""The text encoders of FLUX.1, CLIP-L and T5-XXL, in a pipeline that encodes prompts."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.t5.modeling_t5 import T5EncoderModel

from relation_core.errors import CheckpointError
from relation_core.files.json_file import read_json

from .folders import check_files, first_words, open_encoder, stored_tensors


def open_text_encoders(folder: Path, dtype: torch.dtype, transformer: Any = None, vae: Any = None) -> FluxPipeline:
    """Load the text encoders, and their tokenizers, of a pipeline, from the disk alone.

    Args:
        folder: a FLUX.1 pipeline as diffusers saves it.
        dtype: what the encoders compute in.
        transformer: of the pipeline; the one in the folder is not read.
        vae: likewise.

    Raises:
        CheckpointError: the folder has no text encoders, or one that cannot be read.
    """
    check_text_encoders(folder)
    with _whole(folder):
        clip = open_encoder(CLIPTextModel, folder / "text_encoder", dtype)
        t5 = open_encoder(T5EncoderModel, folder / "text_encoder_2", dtype)
        given = {"transformer": transformer, "vae": vae, "text_encoder": clip, "text_encoder_2": t5}
        pipeline = cast("Any", FluxPipeline).from_pretrained(
            folder, dtype=dtype, local_files_only=True, scheduler=None, **given
        )
        _check_tokenizer(pipeline.tokenizer, clip, clip.config.max_position_embeddings)
        _check_tokenizer(pipeline.tokenizer_2, t5, None)
        return pipeline


def check_text_encoders(folder: Path) -> None:
    """Refuse a folder without text encoders and tokenizers, by its settings and the headers of its weights.

    Raises:
        CheckpointError: it is none of a whole pipeline.
    """
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is one file; text encoders are not read from single files, as ComfyUI has them, or from whole "
            "checkpoints. Expected a FLUX.1 pipeline's folder, with text_encoder, text_encoder_2, tokenizer and "
            "tokenizer_2: name one with --text, or remove the prompt."
        )
    with _whole(folder):
        for part in ("", "tokenizer", "tokenizer_2"):
            check_files(folder / part)
        _check_index(folder)
        for part in ("text_encoder", "text_encoder_2"):
            stored_tensors(folder / part)


@contextmanager
def _whole(folder: Path) -> Generator[None]:
    try:
        yield
    except Exception as error:  # both libraries, and the readers below them, raise whatever they run into
        raise CheckpointError(
            f"{folder} does not hold FLUX.1's text encoders ({first_words(error)}). Expected the folder of a "
            "whole pipeline, with model_index.json, text_encoder, text_encoder_2, tokenizer and "
            "tokenizer_2."
        ) from error


def _check_index(folder: Path) -> None:
    """Refuse a pipeline that was saved without text encoders.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: it was.
    """
    index: Any = read_json(folder / "model_index.json")
    for part in ("text_encoder", "text_encoder_2"):
        if not index[part][0]:
            raise ValueError(f"its model_index.json has no {part}")


def _check_tokenizer(tokenizer: Any, encoder: Any, longest: int | None) -> None:
    """Try a tokenizer, and hold its words against the encoder's.

    Raises:
        ValueError: it has others, or texts of another length.
    """
    most = max(tokenizer.get_vocab().values())
    if most >= encoder.config.vocab_size:
        raise ValueError(f"a tokenizer knows word {most}, and its encoder {encoder.config.vocab_size} words")
    if longest is not None and not (
        type(tokenizer.model_max_length) is int and 2 <= tokenizer.model_max_length <= longest
    ):
        raise ValueError(f"a tokenizer makes texts of {str(tokenizer.model_max_length)[:20]} words; expected {longest}")
    tokenizer("a", padding="max_length", max_length=longest or 8, truncation=True, return_tensors="pt")
