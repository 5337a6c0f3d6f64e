"""``python -m relation_tools evaluate score``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial

from relation_core.errors import printable
from relation_core.samples.samples import Sample, read_samples
from relation_core.settings.bounds import bounds_of
from relation_core.weights.lock import alone_in

from ..evaluation.errors import EvaluationError
from ..evaluation.judge import ADDRESS, KEY, MODEL, Endpoint
from ..evaluation.judge_cost import Meter, Prices, Tokens, estimate, request_size
from ..evaluation.judging import judge_samples, unjudged
from ..evaluation.run_folder import RunFolder
from ..evaluation.scores import SampleScores
from ..evaluation.scoring import ScoringOptions, finished_samples, score_by, score_samples
from .bar import progress_bar
from .extras import require
from .number_option import NumberOption, add_numbers
from .ray_options import add_ray, check_ray
from .scorers import EXTRA, add_scorers, open_scorers

COSTS = {
    "price": "the judge's price of a million tokens sent to it",
    "reply_price": "and of a million tokens from it (the same)",
    "budget": "the most that judging may cost; no request is sent that would exceed it",
    "picture_tokens": "tokens that the judge counts for a picture (as GPT-4o counts)",
}
_LOG = logging.getLogger(__name__)


def add_score(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_scorers(command)
    add_numbers(command, ScoringOptions(), {"batch_size": "samples that a model sees at a time"})
    command.add_argument(
        "--judge", action="store_true", help=f"ask the judge given by {ADDRESS}, {MODEL} and {KEY} in the environment"
    )
    _add_cost(command)
    add_ray(command, "with models, one a graphics card, or one a machine without cards; else one a processor core")
    command.set_defaults(run=_score)


def _add_cost(command: argparse.ArgumentParser) -> None:
    command.add_argument("--estimate", action="store_true", help="only say what the judge would be sent, and its cost")
    bounds = bounds_of(Prices)
    for name, text in COSTS.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=NumberOption(bounds[name]), metavar="N", help=text)


def _score(options: argparse.Namespace) -> int:
    require(EXTRA, "skimage")
    run, costs = RunFolder(options.folder), Prices(**{name: getattr(options, name) for name in COSTS})
    if costs != Prices() and not (options.judge or options.estimate):
        raise EvaluationError("A price or a budget is about judging. Add --judge, or --estimate to ask nothing yet.")
    _check_ray(options)
    run.check_samples(options.file)
    if options.estimate:
        _say_estimate(options, run, finished_samples(read_samples(options.file), run), costs)
        return 0
    with alone_in(run.folder, "evaluating in"):
        return _score_alone(options, run, costs)


def _score_alone(options: argparse.Namespace, run: RunFolder, costs: Prices) -> int:
    samples = finished_samples(read_samples(options.file), run)
    meter = Meter(costs)
    judge, failed = _judge(options, run, samples, meter) if options.judge else ("", dict[int, str]())
    unscored: dict[int, str] = {}
    scored = _scored(options, run, samples, judge, unscored)
    _LOG.info("%d of %d samples scored: %s", len(scored), len(samples), run.scores)
    for index, reason in unscored.items():
        _LOG.error("Sample %d %s", index, reason)
    for index, reason in failed.items():
        _LOG.info("Sample %d has no judgement: %s", index, reason)
    if meter.refused:
        _LOG.error(
            "%d samples were not judged, since the budget of %g would be exceeded. Run again to go on.",
            len(meter.refused),
            costs.budget,
        )
    return 1 if failed or unscored or meter.refused else 0


def _check_ray(options: argparse.Namespace) -> None:
    """Check the options, as :func:`.check_ray` does.

    Raises:
        EvaluationError: workers would have the judge asked.
    """
    check_ray(options)
    asked = "--judge" if options.judge else "--estimate" if options.estimate else ""
    if options.ray is not None and asked:
        raise EvaluationError(
            f"{asked} is given with --ray; expected one of them, since this process alone asks the judge. Run twice: "
            f"with --ray for the other scores, and with {asked}, which keeps them."
        )


def _scored(
    options: argparse.Namespace, run: RunFolder, samples: Sequence[Sample], judge: str, unscored: dict[int, str]
) -> list[SampleScores]:
    """Score samples here, or by Ray's workers; add those that lack some to ``unscored``."""
    settings = ScoringOptions(options.batch_size)
    if options.ray is None:
        scorers = open_scorers(options)
        with progress_bar("scored", EXTRA) as progress:
            return score_samples(samples, options.file, run, scorers, progress, unscored, judge, settings)
    from .spread_scores import score_spread  # noqa: PLC0415 - Ray's libraries, which only this needs

    with progress_bar("scored", EXTRA) as progress:
        return score_by(partial(score_spread, options), samples, run, progress, unscored, settings)


def _judge(
    options: argparse.Namespace, run: RunFolder, samples: Sequence[Sample], meter: Meter
) -> tuple[str, dict[int, str]]:
    """Have samples judged; name the judge's model, and the samples without a judgement with the reason."""
    require(EXTRA, "aiohttp")
    endpoint = Endpoint.from_environment()
    _say_estimate(options, run, samples, meter.options)
    with progress_bar("judged", EXTRA) as progress:
        judging = judge_samples(samples, options.file.parent, run, endpoint, progress, meter=meter)
        failed = asyncio.run(judging)
    _LOG.info("The judge was sent %s.", _in_words(meter.spent, meter.options))
    return endpoint.model, failed


def _say_estimate(options: argparse.Namespace, run: RunFolder, samples: Sequence[Sample], costs: Prices) -> None:
    """Say what the judge named in the environment will be sent; any judgement counts where none is named."""
    model = os.environ.get(MODEL, "")
    count = len(unjudged(samples, options.file.parent, run, model))
    width, height = request_size()
    _LOG.info(
        "%d of %d samples are to be judged%s: %d requests with a picture of %d x %d pixels each, about %s%s.",
        count,
        len(samples),
        f" by {printable(model)}" if model else "",
        count,
        width,
        height,
        _in_words(estimate(costs).times(count), costs),
        "" if costs.price is not None else "; add --price to see what they cost",
    )


def _in_words(tokens: Tokens, costs: Prices) -> str:
    money = f", which cost {costs.cost(tokens):.4f}" if costs.price is not None else ""
    return f"{tokens.asked:,} tokens, and replies of {tokens.replied:,}{money}"
