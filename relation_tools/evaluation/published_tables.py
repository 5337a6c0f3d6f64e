"""Figures of newer papers, as they stand in their tables, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass

from .metric_table import METRICS, Metric

COLUMNS = {
    **{name: METRICS[name] for name in ("mse", "clip_i", "consistency", "accuracy")},
    **{name: METRICS[name] for name in ("lpips_source", "clip_direction", "clip_t", "dino")},
    "preservation_10": Metric("Preservation, 1 to 10", digits=2),
    "accuracy_10": Metric("Accuracy, 1 to 10", digits=2),
}
"""What any of the tables has; the last two are of another judge and scale than ours, which has no such scores."""
_PAPER = ("mse", "clip_i", "consistency", "accuracy")
_DISTANT = ("preservation_10", "accuracy_10", "lpips_source", "clip_direction")


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper, or some rows of it."""

    source: str
    protocol: str
    """How it was made, as far as that differs from an evaluation here."""
    rows: tuple[tuple[str, dict[str, float]], ...]
    """Names, and figures by the keys of :data:`COLUMNS`."""


def _rows(columns: tuple[str, ...], *rows: tuple[str, tuple[float, ...]]) -> tuple[tuple[str, dict[str, float]], ...]:
    return tuple((name, dict(zip(columns, figures, strict=True))) for name, figures in rows)


TABLES = (
    PublishedTable(
        "RelationAdapter, arXiv 2506.02528v1, table 1",
        "Each pair of rows is of those samples of Relation252K whose tasks both methods were trained on. GPT-4o judged "
        "both results in one question. CLIP is not named.",
        _rows(
            _PAPER,
            ("Edit Transfer", (0.043, 0.827, 4.234, 3.508)),
            ("RelationAdapter, the same tasks", (0.020, 0.905, 4.437, 4.429)),
            ("VisualCloze", (0.049, 0.802, 3.594, 3.411)),
            ("RelationAdapter, the same tasks", (0.025, 0.894, 4.084, 3.918)),
        ),
    ),
    PublishedTable(
        "RelationAdapter, arXiv 2506.02528v1, table 2",
        "6,240 samples of seen tasks and 300 of unseen ones, judged as above. Without RelationAdapter, the exemplars "
        "stand beside the source's tokens.",
        _rows(
            _PAPER,
            ("without RelationAdapter, seen tasks", (0.055, 0.787, 3.909, 3.597)),
            ("RelationAdapter, seen tasks", (0.044, 0.852, 4.079, 4.106)),
            ("without RelationAdapter, unseen tasks", (0.061, 0.778, 3.840, 3.566)),
            ("RelationAdapter, unseen tasks", (0.053, 0.812, 4.187, 4.173)),
        ),
    ),
    PublishedTable(
        "Edit Transfer, arXiv 2503.13327v1, table 1",
        "Non-rigid edits, such as poses, on pictures of its own. CLIP-I compares with a reference picture; CLIP-T is "
        "published as 22.58.",
        _rows(("clip_i", "clip_t"), ("Edit Transfer", (0.810, 0.2258))),
    ),
    PublishedTable(
        "VisualCloze, arXiv 2504.07960v4, table 2",
        "Subject-driven generation on FLUX.1-Fill-dev: DINOv2 and CLIP-I compare with the picture of the subject, and "
        "not with a target. Published in percent.",
        _rows(
            ("dino", "clip_i", "clip_t"),
            ("VisualCloze, no example", (0.8041, 0.8963, 0.3516)),
            ("VisualCloze, one example", (0.7933, 0.8922, 0.3502)),
            ("VisualCloze, two examples", (0.8032, 0.8936, 0.3501)),
        ),
    ),
    PublishedTable(
        "VisualCloze, arXiv 2504.07960v4, table 3",
        "Style transfer on FLUX.1-Fill-dev: CLIP-I compares with the picture of the style, and not with a target.",
        _rows(("clip_t", "clip_i"), ("VisualCloze", (0.29, 0.55))),
    ),
    PublishedTable(
        "LoRWeB, arXiv 2602.15727v2, table S3",
        "840 samples of 100 tasks that were not trained on: 300 of Relation252K's 10 unseen tasks, and 540 of 90 "
        "others. LoRWeB and LoRA are on FLUX.1-Kontext. Gemma 3 judged one result a question, from 1 to 10; LPIPS is "
        "between source and result, and its trunk is not named. Tasks weigh the same, as here.",
        _rows(
            _DISTANT,
            ("LoRWeB", (7.87, 5.94, 0.31, 0.21)),
            ("LoRWeB, 64 LoRAs", (7.80, 5.48, 0.27, 0.19)),
            ("LoRA of rank 128", (7.99, 5.70, 0.27, 0.20)),
            ("LoRA of rank 256", (7.88, 5.48, 0.26, 0.18)),
            ("VisualCloze", (5.24, 4.93, 0.53, 0.21)),
            ("RelationAdapter", (7.01, 5.93, 0.43, 0.22)),
            ("Edit Transfer", (7.38, 4.79, 0.31, 0.04)),
        ),
    ),
    PublishedTable(
        "LoRWeB, arXiv 2602.15727v2, table S2",
        "As table S3. These methods are optimised for each sample; DIA's settings were chosen on 540 of the samples.",
        _rows(
            _DISTANT,
            ("LoRWeB", (7.87, 5.94, 0.31, 0.21)),
            ("DIA", (3.56, 3.44, 0.59, 0.12)),
            ("DIA-Kontext", (4.78, 3.56, 0.63, 0.17)),
            ("PairEdit, 0.6", (6.68, 4.55, 0.24, 0.11)),
            ("PairEdit, 0.8", (4.44, 3.60, 0.44, 0.16)),
        ),
    ),
)
