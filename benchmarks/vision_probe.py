"""Which families of edits can be told from what the small vision model sees: ``python -m benchmarks.vision_probe``.

A probe is taught, with labels that the small model never had, to name the families of a relation from the pooled
features of a pair. What it cannot name on new pairs, an adapter behind the same features can hardly learn to make. Five
minutes on one core.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from relation_core.scenes.families import FAMILIES
from relation_core.scenes.painting import paint
from relation_core.scenes.small_model import AUTOENCODER, VISION
from relation_core.scenes.splits import Split, draw_relation, draw_scene
from relation_core.settings.bounds import COUNT
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_tools.commands.number_option import NumberOption
from relation_tools.training.landscape_measuring import SEED
from relation_tools.training.models import FrozenEncoders, load_encoders

_NAMES = [family.name for family in FAMILIES]
_LEARNED_FROM = 77
"""Seed of the pairs that the probe learns from."""
_APART = 300
"""Numbers between the landscapes of two pairs, so that each has its own."""
_EPOCHS, _BATCH = 40, 64


def main() -> None:
    """Teach two probes, and print what they name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vision_probe", description=__doc__)
    parser.add_argument("--pairs", type=NumberOption(COUNT), default=4000, help="to learn from (%(default)s)")
    parser.add_argument("--questions", type=NumberOption(COUNT), default=300, help="of each split (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoders = load_encoders(AUTOENCODER, VISION, "cpu")
    features, labels = _pairs(encoders, "trained", options.pairs, _LEARNED_FROM)
    mean, spread = features.mean(0), features.std(0) + 1e-6
    features = (features - mean) / spread
    asked: dict[Split, tuple[torch.Tensor, torch.Tensor]] = {}
    splits: tuple[Split, ...] = ("trained", "compositions")
    for split in splits:
        seen, named = _pairs(encoders, split, options.questions, SEED)
        asked[split] = (seen - mean) / spread, named
    sys.stdout.write("| probe | trained relations | held-out compositions |\n| --- | --- | --- |\n")
    width = features.shape[1]
    for name, probe in (
        ("linear", nn.Linear(width, len(_NAMES))),
        (
            "one hidden layer",
            nn.Sequential(nn.Linear(width, 512), nn.GELU(), nn.Dropout(0.3), nn.Linear(512, len(_NAMES))),
        ),
    ):
        _teach(probe, features, labels)
        shares = " | ".join(f"{100 * named_share(probe, *pairs):.0f} %" for pairs in asked.values())
        sys.stdout.write(f"| {name} | {shares} |\n")


def _pairs(encoders: FrozenEncoders, split: Split, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give features of pairs (count, 3D): before, after, difference; and families (count, families), 0 or 1."""
    features, labels = [], torch.zeros(count, len(_NAMES))
    for index in range(count):
        relation = draw_relation(seed, index, split)
        scene = draw_scene(relation, seed, _APART * index)
        images = [resize_exemplar(picture) for picture in (paint(scene), relation.apply(scene))]
        before, after = encoders.pooled(vision_pixels(images, encoders.image_size)).float().flatten(1)
        features.append(torch.cat([before, after, after - before]))
        labels[index, [_NAMES.index(family) for family in relation.families]] = 1.0
    return torch.stack(features), labels


def _teach(probe: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> None:
    """Teach a probe to tell labels (count, labels), 0 or 1, from features (count, width)."""
    optimizer = torch.optim.AdamW(probe.parameters(), 1e-3, weight_decay=1e-2)
    for _ in range(_EPOCHS):
        for some in torch.randperm(len(features)).split(_BATCH):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(probe(features[some]), labels[some]).backward()
            optimizer.step()


@torch.no_grad()
def named_share(probe: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of pairs whose families are exactly those with the largest logits, given how many there are."""
    logits = probe.eval()(features)
    right = 0
    for row, truth in zip(logits, labels, strict=True):
        chosen = torch.zeros_like(truth).scatter(0, row.topk(int(truth.sum())).indices, 1.0)
        right += bool(torch.equal(chosen, truth))
    return right / len(labels)


if __name__ == "__main__":
    main()
