"""One self-contained HTML page: tables beside the paper's, and the best and worst samples."""

from __future__ import annotations

import base64
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from PIL import Image

from relation_core.errors import PictureError, printable
from relation_core.pictures.contained import contained
from relation_core.pictures.picture_file import read_picture
from relation_core.samples.samples import Sample
from relation_core.settings.bounds import COUNT_OR_NONE, check_settings

from .errors import EvaluationError
from .journal import last_entries, read_journal
from .metric_table import METRICS
from .published import OVERALL, SOURCE, published_category
from .published_tables import COLUMNS, TABLES
from .run_folder import RunFolder
from .scorer import Maker
from .scores import SampleScores
from .summary import extremes, summarise

_LOG = logging.getLogger(__name__)
_MODELS = {
    "clip": "CLIP",
    "dino": "DINO",
    "judge": "Judge",
    "lpips": "LPIPS",
    "preservation_lpips": "LPIPS outside the edit",
}
"""What is scored by models, by the scorer's name."""
_SIDE = 288
"""Longest side of an embedded picture, in pixels."""


@dataclass(frozen=True)
class ShownSample:
    """A sample on the page."""

    scores: SampleScores
    text: str
    pictures: tuple[tuple[str, str, str], ...]
    """Label, data address, and the sign after the picture."""


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report."""

    title: str = "RelationAdapter evaluation"
    ranked_by: str = "mse"
    """Metric that the best and worst samples are chosen by."""
    shown: Annotated[int, COUNT_OR_NONE] = 6
    """Number of best samples shown, and of worst ones."""

    def __post_init__(self) -> None:
        check_settings(self, EvaluationError)


def render_report(
    scores: Sequence[SampleScores], samples: Sequence[Sample], folder: Path, run: RunFolder, options: ReportOptions
) -> str:
    """Make the page.

    Args:
        scores: of the samples that have a result.
        samples: all of the file.
        folder: what the samples' paths are relative to.
        run: where the results lie.
        options: what to show.

    Raises:
        EvaluationError: none of the samples has scores.
    """
    by_index = {sample.index: sample for sample in samples}
    scores = [one for one in scores if one.index in by_index]
    if not scores:
        raise EvaluationError(f"'{run.scores}' scores none of the samples. Run `evaluate score` to rebuild it.")
    best, worst = (
        [shown for one in chosen if (shown := _shown(by_index[one.index], one, folder, run)) is not None]
        for chosen in extremes(scores, options.ranked_by, options.shown, lambda one: by_index[one.index].source)
    )
    summary = summarise(scores)
    last = last_entries(read_journal(run.journal))
    failed = {index: entry.message for index, entry in sorted(last.items()) if entry.event == "failed"}
    return _template().render(
        title=options.title,
        scored=len(scores),
        total=len(samples),
        summary=summary,
        failed=failed,
        source=SOURCE,
        overall=OVERALL,
        published_category=published_category,
        tables=TABLES,
        columns=COLUMNS,
        makers=makers(scores),
        metrics={name: metric for name, metric in METRICS.items() if name in summary.overall.spreads},
        ranked_label=METRICS[options.ranked_by].label,
        best=best,
        worst=worst,
    )


def makers(scores: Sequence[SampleScores]) -> dict[str, list[tuple[Maker, int]]]:
    """Name the models that gave scores, with the number of samples, by what they score."""
    found: dict[str, list[tuple[Maker, int]]] = defaultdict(list)
    counted = Counter((name, maker) for one in scores for name, maker in one.made_by.items() if name in _MODELS)
    for (name, maker), count in sorted(counted.items(), key=lambda item: (item[0][0], -item[1], item[0][1].model)):
        found[_MODELS[name]].append((maker, count))
    return dict(found)


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - optional

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown_text,
    )
    return environment.get_template("report.html.jinja")


def _shown_text(value: object) -> object:
    """Show marks that turn the direction of writing, and the like, as escapes."""
    return printable(value) if type(value) is str else value


def _shown(sample: Sample, scores: SampleScores, folder: Path, run: RunFolder) -> ShownSample | None:
    files = [
        ("A", folder / sample.cond1, ":"),
        ("A'", folder / sample.cond2, "::"),
        ("B", folder / sample.source, ":"),
        ("B' (result)", run.result(sample.index), ":"),
        ("target", folder / sample.target, ""),
    ]
    try:
        pictures = tuple((label, _data_address(read_picture(path)), sign) for label, path, sign in files)
    except PictureError as error:
        _LOG.warning("Sample %d is not shown: %s", sample.index, error)
        return None
    return ShownSample(scores, sample.text, pictures)


def _data_address(picture: Image.Image) -> str:
    small = contained(picture, (_SIDE, _SIDE)) if max(picture.size) > _SIDE else picture
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
