"""The work of ``python -m relation_tools encode``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from relation_core.adapter.adapter import open_adapter
from relation_core.errors import ExemplarError
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.relation.limits import check_pair_count, check_weight
from relation_core.relation.pairs import encode_pairs, pair_up
from relation_core.weights.lock import alone_at

from ..diffusers_host.opening import device_of, dtype_of, quiet_libraries
from ..diffusers_host.vision_model import load_vision_model
from .output import Output

_LOG = logging.getLogger(__name__)


def encode_file(options: argparse.Namespace, bar: Callable[[str], AbstractContextManager[Progress]]) -> None:
    """Encode the pairs that the options name, and write the relation.

    Raises:
        RelationAdapterError: nothing can be done; nothing is written.
        OSError: nothing can be written there.
    """
    with alone_at(options.out, "encoding"):
        _encode(options, bar)


def _encode(options: argparse.Namespace, bar: Callable[[str], AbstractContextManager[Progress]]) -> None:
    output = Output.at(options.out, options.overwrite)
    quiet_libraries()
    pairs = [(read_picture(before), read_picture(after)) for before, after in pair_up(options.before, options.after)]
    weights: list[float] = options.weight or [1.0] * len(pairs)
    if len(weights) != len(pairs):
        raise ExemplarError(
            f"Got {len(pairs)} exemplar pairs and {len(weights)} weights; expected one weight per pair. Give every "
            "pair a weight, or none."
        )
    check_pair_count(len(pairs))
    for weight in weights:
        check_weight(weight)
    device = device_of(options.device)
    dtype = dtype_of(options.dtype, device)
    adapter = open_adapter(options.adapter)
    vision = load_vision_model(options.vision, dtype)
    vision.model.to(device)
    with bar("exemplars") as progress:
        relation = encode_pairs(adapter, vision, pairs, options.fit, 1.0, device, dtype, progress)
    output.write(replace(relation, pair_weights=tuple(weights)))
    _LOG.info("Wrote %s: a relation of %d pairs.", output.relation, len(pairs))
