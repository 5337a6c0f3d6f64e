"""Identities of edits, so that a result is never taken for one of another source, model or setting."""

from __future__ import annotations

import argparse
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import cast

from PIL import Image, PngImagePlugin

from relation_core.files.regular_file import open_regular

from ..fingerprints import picture_digest, weights_fingerprint
from .settings import EditSettings, KeepSettings

_KEY = "relation-adapter-edit"
"""Key of the text in a result's PNG that records its identity."""
_MODELS = ("model", "adapter", "vae", "text")


def models_identity(options: argparse.Namespace, sees_pairs: bool) -> tuple[str | None, ...]:
    """Fingerprint the models that are used, and how they are quantised; errors are left to the code that opens them.

    Args:
        options: of the command.
        sees_pairs: whether the vision model is used.
    """
    vision = options.vision if sees_pairs else None
    paths: list[Path | None] = [*(getattr(options, name) for name in _MODELS), vision, *options.lora]
    quantised = () if options.quantize is None else (options.quantize,)  # else as before there was the option
    return (*(None if path is None else _model_identity(path) for path in paths), *quantised)


def _sampled(settings: EditSettings) -> object:
    return (settings, "8 bits") if settings.reuse_8bit else settings  # else as before there was the option


def _model_identity(path: Path) -> str:
    try:
        return weights_fingerprint(path)
    except (OSError, ValueError):
        return "unreadable"


def edit_identity(options: argparse.Namespace, settings: EditSettings, keep: KeepSettings | None = None) -> str:
    """Fingerprint everything that an edit depends on except its source.

    Raises:
        OSError: an exemplar cannot be read.
    """
    exemplars = [picture_digest(path) for path in (*(options.before or ()), *(options.after or ()))]
    relation = None if options.relation is None else _model_identity(options.relation)
    told = (_sampled(settings), options.prompt, options.weight, options.fit, options.lora_strength, options.dtype)
    made = (told, exemplars, relation, models_identity(options, options.relation is None))
    return _digest(made if keep is None else (*made, keep))


def samples_identity(options: argparse.Namespace, settings: EditSettings) -> str:
    """Fingerprint everything that samples' edits depend on except the samples."""
    told = (_sampled(settings), options.no_texts, options.fit, options.lora_strength, options.dtype)
    return _digest((told, models_identity(options, sees_pairs=True)))


def result_identity(edit: str, source: Path) -> str:
    """Fingerprint a result's inputs: the edit and the source's bytes.

    Raises:
        OSError: the source cannot be read.
    """
    return _digest((edit, picture_digest(source)))


def png_identity(identity: str) -> PngImagePlugin.PngInfo:
    """Return the PNG metadata of an identity."""
    info = PngImagePlugin.PngInfo()
    info.add_text(_KEY, identity)
    return info


def read_identity(result: Path) -> str | None:
    """Read a result's identity; None if it has none or is not a PNG."""
    try:
        with open_regular(result) as file, closing(Image.open(file, formats=("PNG",))) as picture:
            found = cast("dict[object, object]", picture.info).get(_KEY)
    except Exception:  # a decoder that meets damaged data raises whatever it runs into
        return None
    return found if isinstance(found, str) else None


def _digest(told: object) -> str:
    return blake2b(repr(told).encode(errors="surrogatepass"), digest_size=16).hexdigest()
