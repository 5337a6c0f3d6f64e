"""The scores of every sample of an evaluation, and their file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from relation_core.files.json_file import json_text, parse_json, read_text
from relation_core.weights.atomic import write_whole

from .errors import EvaluationError
from .metric_table import METRICS
from .run_folder import RunFolder
from .scorer import Maker, Values

_BYTES = 1 << 28
"""The largest file of scores that is read."""


@dataclass(frozen=True)
class SampleScores:
    """One sample's scores."""

    index: int
    task: str
    category: str
    values: Values = field(default_factory=Values)
    """By metric; those that were not computed are left out."""
    made_of: str = ""
    """Names the contents of what was scored."""
    made_by: dict[str, Maker] = field(default_factory=dict[str, Maker])
    """By :attr:`.Scorer.name`."""
    unseen: bool = False
    """Whether the dataset has no sample of the task to train on."""

    def value(self, metric: str) -> float | None:
        """Return one of :data:`.METRICS`; None if there is no such score."""
        return self.values.get(metric)


def write_scores(run: RunFolder, scores: Iterable[SampleScores]) -> None:
    """Write ``scores.jsonl``."""
    write_whole(run.scores, "".join(json_text(_fields(one)) + "\n" for one in scores).encode())


def _fields(scores: SampleScores) -> dict[str, Any]:
    made = asdict(scores)
    values, made_by = made.pop("values"), made.pop("made_by")
    first = {name: made.pop(name) for name in ("index", "task", "category")}
    in_order = {name: values[name] for name in METRICS if name in values}
    return {**first, **in_order, **made, "made_by": dict(sorted(made_by.items()))}


def read_scores(run: RunFolder) -> list[SampleScores]:
    """Read ``scores.jsonl``.

    Raises:
        EvaluationError: it is not there, or damaged.
    """
    if not run.scores.exists():
        raise EvaluationError(f"'{run.folder}' has no scores yet. Run `evaluate score` first.")
    try:
        lines = read_text(run.scores, _BYTES).split("\n")  # no other character ends a line in this file
        return [_scores(parse_json(line)) for line in lines if line]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EvaluationError(f"'{run.scores}' is damaged ({error}). Run `evaluate score` to rebuild it.") from error


def _scores(fields: dict[str, Any]) -> SampleScores:
    made_by = cast("dict[str, dict[str, Any]]", fields.pop("made_by", {}))
    values = {name: fields.pop(name) for name in METRICS if name in fields}
    found = SampleScores(**fields, values=values, made_by={name: Maker(**maker) for name, maker in made_by.items()})
    names = [found.task, found.category, found.made_of]
    names += [text for maker in found.made_by.values() for text in (maker.model, maker.fingerprint)]
    if type(found.index) is not int or type(found.unseen) is not bool or not all(type(name) is str for name in names):
        raise ValueError("a line holds no scores")
    if not all(_is_finite(value) for value in values.values() if value is not None):
        raise ValueError("a line holds a score that is no number")
    return found


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
