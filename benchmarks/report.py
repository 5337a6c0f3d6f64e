"""A run's result as a table in Markdown and as a chart."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from .bounds import MEGABYTE, Figure, bounded_figures
from .step import BASE, NAIVE


def table(results: dict[str, Any]) -> str:
    """Lay out the figures of the parts that were measured, as Markdown."""
    parts = {"steps": _steps, "weights": _encodings, "edits": _edits}
    lines = _markdown(("figure", "measured", "bound", "holds"), [_bound(one) for one in bounded_figures(results)])
    for name, layout in parts.items():
        if name in results:
            lines += ["", machine_line(results[name]["machine"]), "", *layout(results[name]["rows"])]
    return "\n".join(lines)


def machine_line(machine: dict[str, Any]) -> str:
    """Say what was measured on, as :func:`.machine.describe_machine` found it."""
    return (
        f"{machine['processor']} ({machine['instructions']}), {machine['cores']} cores, {machine['memory_gb']:.0f} GB; "
        f"Python {machine['python']}, PyTorch {machine['torch']} with {machine['threads']} threads, "
        f"ComfyUI {machine['comfyui']}; sizes: {machine['sizes']}; load average {machine['load_before']:.1f} before "
        f"and {machine['load_after']:.1f} after."
    )


def _bound(figure: Figure) -> tuple[str, ...]:
    holds = "yes" if figure.holds else "NO"
    bound = f"at {'least' if figure.least else 'most'} {figure.bound:g} {figure.unit}"
    return figure.name, f"{_number(figure.value)} {figure.unit}", bound, holds


def _steps(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (
            row["dtype"],
            f"{row['side']}x{row['side']}",
            row["variant"],
            f"{row['seconds']:.3f} s",
            f"{row['ratio']:.4f} ({row['ratio_range'][0]:.3f} to {row['ratio_range'][1]:.3f})",
            f"{row['cpu_ratio']:.4f}",
            "" if row["variant"] in (BASE, NAIVE) else f"{100 * row['in_hooks']:.2f} %",
        )
        for row in rows
    ]
    return _markdown(
        ("dtype", "picture", "relation", "a step", "over without, by time", "by processor time", "inside the hooks"),
        cells,
    )


def _encodings(rows: list[dict[str, Any]]) -> list[str]:
    cells = []
    for key in dict.fromkeys((row["way"], row["file"], row["dtype"]) for row in rows):
        some = [row for row in rows if (row["way"], row["file"], row["dtype"]) == key]
        cells.append(
            (
                *key,
                f"{median(row['open_seconds'] for row in some):.2f} s",
                f"{median(row['encode_seconds'] for row in some):.2f} s",
                *(f"{max(row[what] for row in some) / MEGABYTE:.0f} MB" for what in _MEMORY),
            )
        )
    headings = (
        "way",
        "file",
        "dtype",
        "opening",
        "encoding",
        "resident peak",
        "anonymous peak",
        "anonymous after",
        "held",
    )
    return _markdown(headings, cells)


def _edits(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (
            row["dtype"],
            f"{row['side']}x{row['side']}",
            row["way"],
            f"{row['seconds']:.1f} s",
            f"{1 / row['ratio']:.2f} ({1 / row['ratio_range'][1]:.2f} to {1 / row['ratio_range'][0]:.2f})",
            f"{1 / row['cpu_ratio']:.2f}",
            f"{100 * row['watching']:.2f} %" if "watching" in row else "",
        )
        for row in rows
    ]
    headings = ("dtype", "picture", "way", "an edit", "times as fast", "by processor time", "watching, of a step")
    return _markdown(headings, cells)


_MEMORY = ("peak_resident", "peak_anonymous", "after_anonymous", "held")


def _number(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:.1f}"


def _markdown(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (headings, ("---",) * len(headings), *rows)]


def draw_chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw what the relation adds to a step, against the size of the picture and against the number of pairs.

    It is the time in the hooks, set against the rest of the same step, which a machine's whims spare.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    sides = sorted({row["side"] for row in rows})
    counts = sorted({int(row["variant"].split()[0]) for row in rows if "pair" in row["variant"]})
    added = {(row["dtype"], row["side"], row["variant"]): 100 * row["in_hooks"] for row in rows}
    names = {1: "1 pair", **{count: f"{count} pairs" for count in counts if count > 1}}
    figure, axes = plt.subplots(len(dtypes), 2, figsize=(11, 4 * len(dtypes)), squeeze=False, layout="constrained")
    for (by_side, by_pairs), dtype in zip(axes, dtypes, strict=True):
        for variant in names.values():
            by_side.plot(sides, [added[dtype, side, variant] for side in sides], "-o", label=variant)
        for side in sides:
            by_pairs.plot(counts, [added[dtype, side, names[count]] for count in counts], "-o", label=f"{side} pixels")
        by_side.set(title=f"{dtype}: by size of the picture", xlabel="side in pixels", xticks=sides)
        by_pairs.set(title=f"{dtype}: by number of exemplar pairs", xlabel="exemplar pairs", xticks=counts)
        for axis in (by_side, by_pairs):
            axis.set_ylabel("added to a step, %")
            axis.grid(alpha=0.3)
            axis.set_ylim(0, 1.3 * axis.get_ylim()[1])  # room for the legend
            axis.legend(loc="upper center", ncols=4)
    figure.savefig(path, dpi=120)
    plt.close(figure)
