"""The figures that have a bound, taken from what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from .encoding import BESIDE_SIGLIP, OURS
from .whole_edits import AT_LEAST

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One measured figure, and the most or the least that it may be."""

    name: str
    value: float
    bound: float
    unit: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        return self.value >= self.bound if self.least else self.value <= self.bound


def bounded_figures(results: dict[str, Any]) -> list[Figure]:
    """Collect them; those that these parts and their sizes do not give are left out."""
    figures: list[Figure] = []
    if "steps" in results:
        figures += _of_steps(results["steps"]["rows"])
    if "weights" in results:
        figures += _of_weights(results["weights"])
    if "edits" in results:
        figures += _of_edits(results["edits"]["rows"])
    return figures


def _of_steps(rows: list[dict[str, Any]]) -> list[Figure]:
    bounds = {"1 pair": 1.015, "8 pairs": 1.12}
    return [
        Figure(f"step of 512x512 in float32 with {row['variant']} over without, median", row["ratio"], bound)
        for row in rows
        if (row["dtype"], row["side"]) == ("float32", 512) and (bound := bounds.get(row["variant"]))
    ]


def _of_weights(result: dict[str, Any]) -> list[Figure]:
    ours = [row for row in result["rows"] if row["way"] == OURS]
    beside = [row for row in result["rows"] if row["way"] == BESIDE_SIGLIP]
    half = [row for row in beside if row["dtype"] == "bfloat16"]
    figures = [
        Figure("opening the adapter", max(row["open_seconds"] for row in ours), 1.0, "s"),
        Figure("opening, memory at its peak, mapped pages included", _megabytes(ours, "open_resident"), 50, "MB"),
    ]
    for dtype in dict.fromkeys(row["dtype"] for row in beside):
        ratio = median(row["ratio"] for row in beside if row["dtype"] == dtype)
        figures.append(Figure(f"encoding in {dtype} over reading the file and SigLIP's forward", ratio, 1.5))
    if half:
        peak, after = (
            "anonymous memory added by encoding in bfloat16 beside SigLIP, at its peak",
            "the same, after encoding",
        )
        figures += [
            Figure(peak, _megabytes(half, "peak_anonymous"), 400, "MB"),
            Figure(after, _megabytes(half, "after_anonymous"), 190, "MB"),
            Figure("held for sampling in bfloat16, one pair", _megabytes(half, "held"), 180, "MB"),
        ]
    peak = result["conversion"]["peak"]["anonymous"] / MEGABYTE
    return [*figures, Figure("conversion, anonymous memory at its peak", peak, 600, "MB")]


def _of_edits(rows: list[dict[str, Any]]) -> list[Figure]:
    return [
        Figure(f"edit of {side}x{side}, {way}, times as fast, median", 1 / row["ratio"], bound, least=True)
        for row in rows
        if (bound := AT_LEAST.get((side := row["side"], way := row["way"])))
    ]


def same_relation_from_both_formats(rows: list[dict[str, Any]]) -> bool:
    """Whether the pickle and the converted file gave the same keys and values, bit for bit, in every dtype."""
    hashes: dict[str, set[str]] = {}
    for row in rows:
        if row["way"] == OURS:
            hashes.setdefault(row["dtype"], set()).add(row["hash"])
    return all(len(found) == 1 for found in hashes.values())


def _megabytes(rows: list[dict[str, Any]], what: str) -> float:
    return max(row[what] for row in rows) / MEGABYTE
